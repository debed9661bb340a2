import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createApp, ShouldCompute, Task, type App } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';

describe('a claim that is stuck in an old connection to Redis', () => {
  const namespace = uniqueName('ns');
  const record = `${namespace}:lock:Loans.recompute:loan:1`;
  let proxy: TcpProxy;
  let redis: Redis;
  const apps: App[] = [];

  beforeEach(async () => {
    proxy = await startProxy(testRedisUrl());
    redis = new Redis(testRedisUrl());
  });
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await redis.quit();
    await proxy.close();
  });

  // D11
  it('is refused when it arrives after its message was dropped: no key runs without a runner', async () => {
    const queue = uniqueName('queue');
    const gate = new Gate();
    const ran: string[] = [];
    class Loans {
      @Task({ queue })
      @ShouldCompute('loan:<loanId>')
      async recompute(loanId: number, name: string) {
        ran.push(name);
        await gate.pass();
        return loanId;
      }
    }
    const start = (locks: string): App => {
      const app = createApp({ broker: testAmqpUrl(), locks, namespace, services: [Loans] });
      apps.push(app);
      return app;
    };
    const holder = start(testRedisUrl());
    const held = holder.worker();
    await held.start();
    await holder.tasks(Loans).recompute(1, 'first');
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await held.quiet();

    const stuck = start(proxy.url);
    let dropped = 0;
    stuck.on('task:discarded', () => dropped++);
    await stuck.worker({ concurrency: 1 }).start();
    proxy.hold();
    await holder.tasks(Loans).recompute(1, 'second');
    await eventually(() => expect(proxy.held).to.include(record));
    proxy.strand();
    // Over a new connection it hears of the holder, takes its claim back, and drops the message.
    await eventually(() => expect(dropped).to.equal(1), { timeout: 10_000 });
    gate.open();
    await eventually(async () => expect(await redis.hget(record, 'o')).to.equal(null));
    const before = await redis.hgetall(record);
    const scripts = await executed(redis);
    proxy.deliver();
    await eventually(async () => expect(await executed(redis)).to.be.above(scripts));
    expect(await redis.hgetall(record)).to.deep.equal(before);

    await holder.tasks(Loans).recompute(1, 'third');
    await eventually(() => expect(ran).to.deep.equal(['first', 'third']));
  });
});

/** How many scripts this Redis has executed. */
async function executed(redis: Redis): Promise<number> {
  return Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1] ?? 0);
}
