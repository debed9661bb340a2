import { expect } from 'chai';
import { createApp, RejectTask, ShouldCompute, Task, type App, type AppWorker } from '../../lib/index.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { EventDump, Monitor } from './monitors.js';

/** Shared, for each namespace has some twenty queues. */
const NAMESPACE = uniqueName('events');

describe("a worker's events for Celery's monitors", () => {
  const monitor = new Monitor();
  const apps: App[] = [];
  before(() => monitor.ready());
  afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));
  after(() => monitor.close());

  function make(services: readonly (new () => object)[]): App {
    const app = createApp({ broker: testAmqpUrl(), locks: testRedisUrl(), services, namespace: NAMESPACE });
    apps.push(app);
    return app;
  }

  async function started(app: App): Promise<{ worker: AppWorker; node: string }> {
    const worker = app.worker({ taskEvents: true });
    const before = monitor.seen.length;
    await worker.start();
    const node = await eventually(() => {
      const online = monitor.seen.slice(before).find(({ event }) => event === 'worker-online');
      if (online === undefined) throw new Error('it has not come online');
      return online.hostname;
    });
    return { worker, node };
  }

  const typesOf = (id: string): string[] => monitor.of(id).map(({ event }) => event);

  it('tell of a run from its receipt to its end, with the fields that Celery sends', async () => {
    const queue = uniqueName('queue');
    class Sums {
      @Task({ queue }) async add(a: number, b: number) {
        return { sum: a + b };
      }
    }
    const app = make([Sums]);
    const { node } = await started(app);
    const { id } = await app.tasks(Sums).add(1, 2);
    await eventually(() => expect(typesOf(id)).to.deep.equal(['task-received', 'task-started', 'task-succeeded']));
    const [received, begun, succeeded] = monitor.of(id);
    expect(received).to.deep.include({ name: 'Sums.add', args: '[1,2]', kwargs: '{}', retries: 0 });
    expect(received).to.deep.include({ root_id: id, parent_id: null, eta: null, expires: null });
    expect(received).to.include({ hostname: node, pid: process.pid, utcoffset: 0 });
    expect(succeeded).to.include({ result: '{ sum: 3 }' });
    expect(succeeded?.['runtime']).to.be.within(0, 5);
    expect(begun?.['timestamp']).to.be.closeTo(Date.now() / 1000, 30);
    const clocks = [received, begun, succeeded].map((event) => event?.['clock'] as number);
    expect(clocks).to.deep.equal(clocks.toSorted((a, b) => a - b));
    const { tasks } = await monitor.state();
    expect(tasks[id]).to.include({ state: 'SUCCESS', name: 'Sums.add', worker: node, result: '{ sum: 3 }' });
    await eventually(async () => {
      const { workers } = await monitor.state();
      expect(workers[node]).to.include({ alive: true, status: 'ONLINE', ident: 'solotask', processed: 1 });
    });
  });

  it('tell of retries and of the end in the dead letters, with the error', async () => {
    const queue = uniqueName('queue');
    class Frail {
      @Task({ queue, retry: { attempts: 2, delay: 0 } }) async fail() {
        throw new TypeError("it's wrong");
      }
      @Task({ queue }) async reject() {
        throw new RejectTask('never');
      }
    }
    const app = make([Frail]);
    await started(app);
    const { id } = await app.tasks(Frail).fail();
    const rejected = await app.tasks(Frail).reject();
    const twice = ['task-received', 'task-started', 'task-retried', 'task-received', 'task-started', 'task-failed'];
    await eventually(() => expect(typesOf(id)).to.deep.equal(twice));
    await eventually(() => expect(typesOf(rejected.id).at(-1)).to.equal('task-failed'));
    const [retried, failed] = monitor.of(id).filter(({ event }) => /retried|failed/.test(event));
    expect(retried).to.include({ exception: `TypeError("it's wrong")` });
    expect(failed).to.include({ exception: `TypeError("it's wrong")` });
    expect(failed?.['traceback']).to.match(/^TypeError: it's wrong\n +at Frail\.fail/);
    const { tasks } = await monitor.state();
    expect(tasks[id]).to.include({ state: 'FAILURE', retries: 1 });
  });

  it('call a dropped duplicate and an expired task revoked, which is nearest', async () => {
    const queue = uniqueName('queue');
    const open = new Gate();
    class Loans {
      @Task({ queue }) @ShouldCompute('loan:<id>') async recompute(id: number) {
        if (id === 42) await open.pass();
      }
      @Task({ queue }) async late() {}
    }
    const app = make([Loans]);
    const late = await app.tasks(Loans, { expires: 1 }).late();
    await started(app);
    await eventually(() => expect(typesOf(late.id)).to.include('task-revoked'));
    expect(monitor.of(late.id).at(-1)).to.include({ expired: true, terminated: false });
    const first = await app.tasks(Loans).recompute(42);
    await eventually(() => expect(typesOf(first.id)).to.include('task-started'));
    const second = await app.tasks(Loans).recompute(42);
    await eventually(() => expect(typesOf(second.id)).to.deep.equal(['task-received', 'task-revoked']));
    expect(monitor.of(second.id).at(-1)).to.include({ expired: false, exception: `duplicate of ${first.id}` });
    open.open();
    await eventually(() => expect(typesOf(first.id)).to.include('task-succeeded'));
    const { tasks } = await monitor.state();
    expect(tasks[second.id]).to.include({ state: 'REVOKED' });
  });

  it('say every two seconds that the worker lives, and say goodbye as it stops', async () => {
    const queue = uniqueName('queue');
    class Idle {
      @Task({ queue }) async rest() {}
    }
    const app = make([Idle]);
    const { worker, node } = await started(app);
    await eventually(
      () => {
        const beats = monitor.of(node).filter(({ event }) => event === 'worker-heartbeat');
        expect(beats).to.have.length.of.at.least(2);
        const [one, two] = beats.slice(-2).map(({ timestamp }) => timestamp as number);
        expect((two as number) - (one as number)).to.be.closeTo(2, 0.5);
        expect(beats[0]).to.include({ freq: 2, active: 0, processed: 0, sw_sys: 'Linux' });
        expect(beats[0]?.['loadavg']).to.have.length(3);
      },
      { timeout: 10_000 },
    );
    await worker.stop();
    await eventually(() => expect(monitor.of(node).at(-1)).to.include({ event: 'worker-offline' }));
    expect((await monitor.state()).workers[node]).to.include({ alive: false, status: 'OFFLINE' });
  });

  it('are what `celery events --dump` prints', async () => {
    const queue = uniqueName('queue');
    class Sums {
      @Task({ queue }) async add(a: number) {
        return a;
      }
    }
    const app = make([Sums]);
    const dump = new EventDump();
    try {
      const { node } = await started(app);
      await eventually(() => expect(dump.text).to.include(`${node} [`), { timeout: 20_000 });
      const { id } = await app.tasks(Sums).add(7);
      await eventually(() => expect(dump.text).to.match(new RegExp(`task succeeded: Sums.add\\(${id}\\)`)));
      expect(dump.text).to.match(new RegExp(`task received: Sums.add\\(${id}\\) args=\\[7\\] kwargs=\\{\\}`));
    } finally {
      dump.close();
    }
  });
});
