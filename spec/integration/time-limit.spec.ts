import { expect } from 'chai';
import { setTimeout as sleep } from 'node:timers/promises';
import { Task, taskContext, TimeLimitError, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('a task with a timeLimit, on the main thread', (stage) => {
  it('hears of the limit by its signal, fails by it, is retried, and ends in the dead letters', async () => {
    const reasons: unknown[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', timeLimit: 60, retry: { attempts: 2, delay: 1 } })
      async recompute(loanId: number) {
        const { signal } = taskContext();
        await sleep(60_000, loanId, { signal }).catch(() => reasons.push(signal.reason));
        throw new Error('something else');
      }
    }
    const app = stage.app([Loans]);
    const dead: TaskEvents['task:dead'][] = [];
    app.on('task:dead', (event) => dead.push(event));
    const { id } = await app.tasks(Loans).recompute(1);
    await app.worker().start();
    await eventually(() => expect(dead).to.have.length(1));
    expect(dead[0]).to.include({ id, code: 'TIME_LIMIT', attempt: 2 });
    expect(reasons).to.have.length(2);
    for (const reason of reasons) expect(reason).to.be.instanceOf(TimeLimitError).with.property('code', 'TIME_LIMIT');
    expect((await stage.dead())[0]?.headers).to.include({ dead_code: 'TIME_LIMIT', attempt: 2 });
    await eventually(async () =>
      expect(await stage.record('Loans.recompute', 'loan:1')).to.not.have.property('phase', 'running'),
    );
  });

  it('has failed when it ends after the limit, however well, and kept its slot and its key until then', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', lease: 300 }, timeLimit: 100, retry: false })
      async recompute(loanId: number) {
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const overdue: TaskEvents['task:overdue'][] = [];
    app.on('task:overdue', (event) => overdue.push(event));
    const ended = stage.count(app, 'task:succeeded', 'task:failed', 'task:dead', 'lock:lost');
    const dead = stage.count(app, 'task:dead');
    const { id } = await app.tasks(Loans).recompute(1);
    await app.worker({ concurrency: 1 }).start();
    await eventually(() => expect(overdue).to.have.length(1));
    expect(overdue[0]).to.include({ id, key: 'loan:1' });
    expect(overdue[0]?.error).to.have.property('code', 'TIME_LIMIT');
    // More than a second, which is three leases, after the limit.
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'discarded', id });
    await app.tasks(Loans).recompute(2);
    expect(gate.arrivals).to.equal(1);
    expect(ended.total).to.equal(0);
    gate.open();
    await eventually(() => expect(dead.total).to.equal(1));
    await eventually(() => expect(gate.arrivals).to.equal(2));
    expect(overdue).to.have.length(1);
  });

  it('is judged by the clock when it blocked the event loop past its limit', async () => {
    class Loans {
      @Task({ queue: stage.queue, timeLimit: 50, retry: false })
      async sum(ms: number) {
        const end = performance.now() + ms;
        while (performance.now() < end);
      }
    }
    const app = stage.app([Loans]);
    const ends: string[] = [];
    app.on('task:succeeded', () => ends.push('well'));
    app.on('task:dead', ({ code }) => ends.push(code));
    await app.tasks(Loans).sum(100);
    await app.worker({ concurrency: 1 }).start();
    await eventually(() => expect(ends).to.deep.equal(['TIME_LIMIT']));
    await app.tasks(Loans).sum(1);
    await eventually(() => expect(ends).to.deep.equal(['TIME_LIMIT', 'well']));
  });

  it('takes the limit of a foreign sender where it has none of its own', async () => {
    class Loans {
      @Task({ queue: stage.queue, name: 'loans.recompute', retry: false })
      async recompute() {
        await sleep(60_000, undefined, { signal: taskContext().signal });
      }
    }
    const app = stage.app([Loans]);
    const dead: TaskEvents['task:dead'][] = [];
    app.on('task:dead', (event) => dead.push(event));
    await app.worker().start();
    const headers = { lang: 'py', id: 'from-django', task: 'loans.recompute', timelimit: [30, 0.1] };
    const properties = { contentType: 'application/json', contentEncoding: 'utf-8' };
    await stage.publish({ headers, properties, body: Buffer.from('[[], {}, {}]') });
    await eventually(() => expect(dead).to.have.length(1));
    expect(dead[0]).to.include({ id: 'from-django', code: 'TIME_LIMIT' });
  });

  it('runs once more for newer arguments with a signal that has not fired', async () => {
    const gate = new Gate();
    const runs: { rate: number; aborted: boolean }[] = [];
    class Loans {
      @Task({
        queue: stage.queue,
        unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce' },
        timeLimit: 200,
        retry: false,
      })
      async recompute(loanId: number, rate: number) {
        const { signal } = taskContext();
        runs.push({ rate, aborted: signal.aborted });
        if (rate === 1) await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    const overdue = stage.count(app, 'task:overdue');
    await app.tasks(Loans).recompute(1, 1);
    await app.worker().start();
    await eventually(() => expect(overdue.total).to.equal(1));
    expect((await app.tasks(Loans).recompute(1, 2)).status).to.equal('coalesced');
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    expect(runs).to.deep.equal([
      { rate: 1, aborted: false },
      { rate: 2, aborted: false },
    ]);
    expect((await stage.dead()).map(({ headers }) => headers['dead_code'])).to.deep.equal(['TIME_LIMIT']);
  });

  it('says the limit in the header that Celery reads, in seconds', async () => {
    class Loans {
      @Task({ queue: stage.queue, timeLimit: '90s' })
      async recompute() {}
      @Task({ queue: stage.queue, timeLimit: '90s', thread: true })
      async simulate() {}
    }
    const app = stage.app([Loans]);
    await app.tasks(Loans).recompute();
    await app.tasks(Loans).simulate();
    const limits = (await stage.messages()).map(({ headers }) => headers['timelimit']);
    expect(limits).to.deep.equal([
      [null, 90],
      [91, 90],
    ]);
  });
});
