import { expect } from 'chai';
import { Task, taskContext, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('a running task', (stage) => {
  it('knows its id, name, key, fence, attempt, and when it was enqueued', async () => {
    const seen: object[] = [];
    const look = () => {
      const { id, task, key, attempt, rerun, fence, redelivered, enqueuedAt } = taskContext();
      seen.push({ id, task, key, attempt, rerun, fenced: (fence ?? 0) > 0, redelivered, enqueuedAt });
    };
    class Loans {
      @Task({ queue: stage.queue, name: 'loans.recompute', unique: 'loan:<loanId>', retry: { attempts: 2, delay: 1 } })
      async recompute(loanId: number) {
        look();
        if (taskContext().attempt === 1) throw new Error(`loan ${loanId} is locked`);
      }

      @Task({ queue: stage.queue, name: 'loans.sum' })
      async sum() {
        look();
      }
    }
    const app = stage.app([Loans]);
    const before = Date.now();
    const guarded = await app.tasks(Loans).recompute(1);
    const plain = await app.tasks(Loans).sum();
    const after = Date.now();
    await app.worker({ concurrency: 1 }).start();
    await eventually(() => expect(seen).to.have.length(3));
    const common = { rerun: 0, redelivered: false };
    const loan = { ...common, id: guarded.id, task: 'loans.recompute', key: 'loan:1', fenced: true };
    const sum = { ...common, id: plain.id, task: 'loans.sum', key: undefined, fenced: false, attempt: 1 };
    const found = seen.map((one) => ({ ...one, enqueuedAt: undefined }));
    expect(found).to.have.deep.members(
      [{ ...loan, attempt: 1 }, { ...loan, attempt: 2 }, sum].map((one) => ({ ...one, enqueuedAt: undefined })),
    );
    for (const one of seen)
      expect(one).property('enqueuedAt').to.be.a('date').within(new Date(before), new Date(after));
  });

  it('tells how far it is and what it has to say, each with the task it is about', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        const context = taskContext();
        const log = context.log;
        log.debug('begun');
        log.info('reading', { loanId });
        log.warn('no rate');
        log.error('no rate at all');
        context.progress(1, 2);
        context.progress(2, 2);
      }
    }
    const app = stage.app([Loans]);
    const steps: TaskEvents['task:progress'][] = [];
    const lines: TaskEvents['task:log'][] = [];
    app.on('task:progress', (event) => steps.push(event));
    app.on('task:log', (event) => lines.push(event));
    const ended = stage.count(app, 'task:succeeded');
    const { id } = await app.tasks(Loans).recompute(7);
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(1));
    const about = { task: 'Loans.recompute', id, key: 'loan:7', queue: stage.queue, attempt: 1 };
    expect(steps).to.deep.equal([
      { ...about, done: 1, total: 2 },
      { ...about, done: 2, total: 2 },
    ]);
    expect(lines.map(({ level, message, data }) => [level, message, data])).to.deep.equal([
      ['debug', 'begun', undefined],
      ['info', 'reading', { loanId: 7 }],
      ['warn', 'no rate', undefined],
      ['error', 'no rate at all', undefined],
    ]);
    expect(lines[0]).to.include(about);
  });
});

onEveryStage('an app', (stage) => {
  it('tells of its links to the broker: connected, lost, connected again', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const told: string[] = [];
    const addresses: string[] = [];
    app.on('broker:connected', ({ link, address }) => (told.push(`${link} up`), addresses.push(address)));
    app.on('broker:disconnected', ({ link }) => told.push(`${link} down`));
    const { broker } = await app.connect();
    await eventually(() => expect(told).to.have.members(['publish up', 'consume up']));
    await stage.dropConnections();
    const all = ['publish up', 'consume up', 'publish down', 'consume down', 'publish up', 'consume up'];
    await eventually(() => expect(told).to.have.members(all));
    expect(new Set(addresses)).to.deep.equal(new Set([broker]));
    expect(broker).to.not.contain('guest:guest');
  });

  it('tells of a worker that is ready, takes no more, and has stopped', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const told: object[] = [];
    for (const event of ['worker:ready', 'worker:quiet', 'worker:stopped'] as const) {
      app.on(event, (payload) => told.push({ event, ...payload }));
    }
    const worker = app.worker({ concurrency: 3 });
    await worker.start();
    expect(told).to.deep.equal([{ event: 'worker:ready', queues: [stage.queue], concurrency: 3 }]);
    await worker.quiet();
    expect(told.slice(1)).to.deep.equal([{ event: 'worker:quiet', running: 0 }]);
    await worker.stop();
    expect(told.slice(2)).to.deep.equal([{ event: 'worker:stopped', aborted: 0 }]);
  });
});
