import { expect } from 'chai';
import { createApp, Task, taskContext } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { startRedis, testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { onEveryStage } from '../support/stage.js';

/**
 * What went wrong with the essay's recipes on Celery (docs/internals.md names them), here. A producer killed between
 * lock and publish, and a worker killed in mid-run: death.spec.ts, with processes that really die.
 */
onEveryStage("the essay's outcomes", (stage) => {
  // E5
  it('lets the key go when nobody takes the message, and accepts the next call', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    await app.connect();
    await stage.removeQueue();
    const refused = await app
      .tasks(Loans)
      .recompute(1)
      .catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'UNROUTABLE');
    expect((await stage.record('Loans.recompute', 'loan:1'))?.owner).to.equal(undefined);
    await stage.restoreQueue();
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
  });

  it('runs longer than the ttl and many leases without a second run, and is not robbed of its key', async () => {
    const gate = new Gate();
    const fences: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', ttl: 100, lease: 300 } })
      async recompute(loanId: number) {
        fences.push(taskContext().fence ?? 0);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const lost = stage.count(app, 'lock:lost');
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const record = await stage.record('Loans.recompute', 'loan:1');
    // Three leases later the key is still the same run's: somebody renewed it.
    await eventually(async () => {
      const now = await stage.record('Loans.recompute', 'loan:1');
      expect((now?.deadline ?? 0) - (record?.deadline ?? 0)).to.be.above(900);
    });
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'discarded', id: first.id });
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    expect(fences).to.have.length(1);
    expect(lost.total).to.equal(0);
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
    await eventually(() => expect(fences).to.have.length(2));
    expect(fences[1]).to.be.above(fences[0] ?? 0);
  });
});

describe("the essay's outcomes, with servers that are not there", () => {
  class Loans {
    @Task({ name: 'loans.recompute', queue: uniqueName('queue'), unique: 'loan:<loanId>' })
    async recompute(loanId: number) {
      return loanId;
    }
  }

  // E5
  it('gives an error within publishTimeout when the broker is away, with the key free afterwards', async () => {
    const { startProxy } = await import('../support/tcp-proxy.js');
    const proxy = await startProxy(testAmqpUrl());
    const namespace = uniqueName('ns');
    const links = { broker: proxy.url, locks: testRedisUrl(), namespace, services: [Loans] };
    await using app = createApp({ ...links, publishTimeout: 1_500 });
    await app.connect({ timeout: 10_000 });
    // What is sent before the process has noticed may have arrived.
    const noticed = new Promise<void>((resolve) => {
      app.on('broker:disconnected', ({ link }) => link === 'publish' && resolve());
    });
    proxy.refuse(true);
    proxy.cut();
    await noticed;
    const asked = Date.now();
    const refused = await app
      .tasks(Loans)
      .recompute(1)
      .catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'BROKER_UNAVAILABLE');
    expect(Date.now() - asked).to.be.below(4_000);
    const back = new Promise<void>((resolve) => {
      app.on('broker:connected', ({ link }) => link === 'publish' && resolve());
    });
    proxy.refuse(false);
    await back;
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
    await app.close();
    await proxy.close();
  });

  // E7 (refuse)
  it('publishes nothing when Redis is away, and says so', async () => {
    const redis = await startRedis();
    const links = { broker: testAmqpUrl(), locks: redis.url, namespace: uniqueName('ns'), services: [Loans] };
    await using app = createApp(links);
    await app.connect();
    await redis.kill();
    const refused = await app
      .tasks(Loans)
      .recompute(2)
      .catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'LOCK_UNAVAILABLE');
    await redis.restart();
    await eventually(async () => expect(await app.tasks(Loans).recompute(2)).to.include({ status: 'enqueued' }));
    await app.close();
    await redis.stop();
  });
});
