import { expect } from 'chai';
import { createApp, RejectTask, ShouldCompute, Task, taskContext, type App, type Metrics } from 'solotask';
import { eventually } from './support/eventually.js';
import { Gate } from './support/gate.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from './support/servers.js';
import { onEveryStage } from './support/stage.js';
import { startProxy } from './support/tcp-proxy.js';

/** `name{label="value",…}` to its value. */
async function figures(metrics: Metrics): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

onEveryStage('the metrics of an app', (stage) => {
  it('count what happens to tasks, from zero on', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ name: 'work', queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        await gate.pass();
        return loanId;
      }

      @Task({ name: 'fail', queue: stage.queue, retry: { attempts: 2, delay: 10 } })
      async fail() {
        if (taskContext().attempt === 2) throw new RejectTask('never');
        throw new Error('not yet');
      }
    }
    const app = stage.app([Loans]);
    const metrics = await app.metrics();
    expect(await app.metrics()).to.equal(metrics);
    expect(metrics.contentType).to.match(/^text\/plain; version=0\.0\.4/);
    const work = `{task="work",queue="${stage.queue}"}`;
    const fail = `{task="fail",queue="${stage.queue}"}`;
    const rejected = `solotask_dead_letters_total{task="fail",queue="${stage.queue}",reason="REJECTED"}`;
    const before = await figures(metrics);
    for (const name of [
      `solotask_enqueued_total${work}`,
      rejected,
      'solotask_ready',
      `solotask_retries_total${fail}`,
    ]) {
      expect(before.get(name), name).to.equal(0);
    }
    expect(before.has(`solotask_queue_ready_messages{queue="${stage.queue}"}`)).to.equal(false);

    await app.tasks(Loans).recompute(1);
    await app.tasks(Loans).recompute(2);
    await app.tasks(Loans).recompute(1);
    expect((await figures(metrics)).get(`solotask_queue_ready_messages{queue="${stage.queue}"}`)).to.equal(2);
    const dead = stage.count(app, 'task:dead');
    await app.worker().start();
    await eventually(() => expect(gate.arrivals).to.be.above(0));
    await app.tasks(Loans).fail();
    await eventually(async () => {
      const during = await figures(metrics);
      expect(during.get(`solotask_running${work}`)).to.equal(2);
      expect(during.get('solotask_ready')).to.equal(1);
      expect(during.get(`solotask_queue_consumers{queue="${stage.queue}"}`)).to.equal(1);
    });
    gate.open();
    await eventually(() => expect(dead.total).to.equal(1));
    await eventually(async () => {
      const after = await figures(metrics);
      const expected = {
        [`solotask_enqueued_total${work}`]: 2,
        [`solotask_enqueued_total${fail}`]: 1,
        'solotask_discarded_total{task="work",reason="queued"}': 1,
        [`solotask_runs_total{task="work",queue="${stage.queue}",outcome="succeeded"}`]: 2,
        [`solotask_runs_total{task="fail",queue="${stage.queue}",outcome="failed"}`]: 2,
        [`solotask_retries_total${fail}`]: 1,
        [rejected]: 1,
        [`solotask_run_seconds_count${work}`]: 2,
        [`solotask_wait_seconds_count${work}`]: 2,
        [`solotask_claim_seconds_count${work}`]: 2,
        [`solotask_running${work}`]: 0,
        [`solotask_queue_ready_messages{queue="${stage.queue}"}`]: 0,
        [`solotask_queue_dead_messages{queue="${stage.queue}"}`]: 1,
        solotask_broker_up: 1,
        solotask_broker_blocked: 0,
        solotask_redis_up: 1,
      };
      expect(Object.fromEntries(Object.keys(expected).map((name) => [name, after.get(name)]))).to.deep.equal(expected);
      expect(after.get(`solotask_claim_seconds_count${fail}`)).to.equal(undefined);
    });
  });

  it('count re-runs and what was coalesced', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ name: 'book', queue: stage.queue, unique: { key: 'all', onDuplicate: 'coalesce' } })
      async book(amount: number) {
        await gate.pass();
        return amount;
      }
    }
    const app = stage.app([Loans]);
    const metrics = await app.metrics();
    await app.worker().start();
    await app.tasks(Loans).book(1);
    await eventually(() => expect(gate.arrivals).to.be.above(0));
    await app.tasks(Loans).book(2);
    gate.open();
    await eventually(async () => {
      const after = await figures(metrics);
      expect(after.get('solotask_coalesced_total{task="book"}')).to.equal(1);
      expect(after.get(`solotask_reruns_total{task="book",queue="${stage.queue}"}`)).to.equal(1);
      expect(after.get(`solotask_wait_seconds_count{task="book",queue="${stage.queue}"}`)).to.equal(1);
    });
  });

  it('tell an aborted run from a failed one', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ name: 'work', queue: stage.queue })
      async recompute() {
        void gate.pass();
        await new Promise((resolve) => taskContext().signal.addEventListener('abort', resolve));
      }
    }
    const app = stage.app([Loans]);
    const metrics = await app.metrics();
    const worker = app.worker();
    await worker.start();
    await app.tasks(Loans).recompute();
    await eventually(() => expect(gate.arrivals).to.be.above(0));
    expect(await worker.stop({ timeout: 0 })).to.deep.equal({ aborted: 1 });
    const runs = `solotask_runs_total{task="work",queue="${stage.queue}"`;
    const after = await figures(metrics);
    expect(after.get(`${runs},outcome="aborted"}`)).to.equal(1);
    expect(after.get(`${runs},outcome="failed"}`)).to.equal(0);
  });

  it('count reconnects, and leave out the queues of a broker that is away', async () => {
    class Loans {
      @Task({ name: 'work', queue: stage.queue })
      async recompute() {}
    }
    const app = stage.app([Loans]);
    const metrics = await app.metrics();
    await app.connect();
    const ready = `solotask_queue_ready_messages{queue="${stage.queue}"}`;
    expect((await figures(metrics)).get(ready)).to.equal(0);
    stage.stopBroker();
    await eventually(async () => {
      const away = await figures(metrics);
      expect([away.get('solotask_broker_up'), away.get(ready)]).to.deep.equal([0, undefined]);
    });
    stage.startBroker();
    await eventually(
      async () => {
        const back = await figures(metrics);
        expect([back.get('solotask_broker_reconnects_total'), back.get(ready)]).to.deep.equal([2, 0]);
      },
      { timeout: 15_000 },
    );
  });
});

describe('the metrics of an app on a broker that went silent', () => {
  it('come within bounded time all the same', async () => {
    const proxy = await startProxy(testAmqpUrl());
    const queue = uniqueName('work');
    class Loans {
      @Task({ queue })
      async recompute() {}
    }
    const app = createApp({ broker: proxy.url, locks: testRedisUrl(), services: [Loans], namespace: uniqueName('ns') });
    try {
      await app.connect();
      const metrics = await app.metrics();
      expect((await figures(metrics)).get(`solotask_queue_ready_messages{queue="${queue}"}`)).to.equal(0);
      proxy.mute();
      const began = performance.now();
      const [first] = await Promise.all([figures(metrics), figures(metrics)]);
      expect(performance.now() - began).to.be.within(1_900, 5_000);
      expect(first.has(`solotask_queue_ready_messages{queue="${queue}"}`)).to.equal(false);
      expect(first.get('solotask_broker_up')).to.equal(1);
    } finally {
      proxy.cut();
      await app.close();
      await proxy.close();
    }
  });
});

describe('the metrics of an app whose event loop stands still', () => {
  it('count it', async () => {
    const queue = uniqueName('work');
    class Loans {
      @Task({ queue })
      async recompute() {
        const end = performance.now() + 1_500;
        while (performance.now() < end);
      }
    }
    const links = { broker: `${testAmqpUrl()}?heartbeat=2`, locks: testRedisUrl(), namespace: uniqueName('ns') };
    await using app = createApp({ ...links, services: [Loans] });
    const metrics = await app.metrics();
    const blocked = async (): Promise<number | undefined> =>
      (await figures(metrics)).get('solotask_loop_blocked_total');
    expect(await blocked()).to.equal(0);
    await app.worker().start();
    await app.tasks(Loans).recompute();
    await eventually(async () => expect(await blocked()).to.be.above(0));
  });
});

describe('the labels of metrics', () => {
  const counted = async (use: (app: App) => Promise<void>): Promise<string[]> => {
    class Loans {
      @Task()
      @ShouldCompute('loan:<loanId>')
      async recompute(loanId: number) {
        return loanId;
      }
    }
    await using app = createApp({ broker: 'memory:', locks: 'memory:', services: [Loans] });
    const metrics = await app.metrics();
    await use(app);
    return [...(await figures(metrics)).keys()].filter((name) => name.startsWith('solotask_enqueued_total'));
  };

  it('are bounded, whatever names callers think of', async () => {
    const series = await counted(async (app) => {
      for (let i = 0; i < 250; i++) await app.send(`task-${i}`, { queue: 'tasks' });
    });
    expect(series).to.have.length(202);
    expect(series).to.include('solotask_enqueued_total{task="other",queue="tasks"}');
  });
});
