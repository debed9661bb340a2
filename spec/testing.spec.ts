import 'reflect-metadata';
import { IsPositive } from 'class-validator';
import { expect } from 'chai';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp, RejectTask, RetryTask, ShouldCompute, Task, taskContext, tasks, type AppOptions } from 'solotask';
import { testApp, type TestApp, type TestAppOptions } from 'solotask/testing';
import { thrownBy } from './support/declare.js';

const rejection = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => new Error('it did not reject'),
    (error: Error) => error,
  );

describe('solotask/testing', () => {
  const opened: TestApp[] = [];
  const open = (options: AppOptions, mode?: TestAppOptions): TestApp => {
    const app = testApp(options, mode);
    opened.push(app);
    return app;
  };
  afterEach(() => Promise.all(opened.splice(0).map((app) => app.close())));

  it('keeps what was enqueued, typed, until drain() runs it and what it enqueues', async () => {
    const ran: string[] = [];
    class Loans {
      @Task({ unique: 'loan:<loanId>', priority: 3 })
      async recompute(loanId: number, since: Date) {
        ran.push(`recompute ${loanId} ${since.getUTCFullYear()}`);
        await tasks(Loans).report(loanId);
      }

      @Task({ queue: 'reports' })
      async report(loanId: number) {
        ran.push(`report ${loanId}`);
      }
    }
    const app = open({ services: [Loans] });
    const { id } = await app.tasks(Loans).recompute(42, new Date('2026-01-02'));
    await tasks(Loans).recompute(42, new Date());
    await sleep(10);
    await app.tasks(Loans, { delay: '5m' }).report(7);

    const [call, ...others] = app.enqueued(Loans, 'recompute');
    expect(others).to.deep.equal([]);
    expect(call).to.deep.equal({
      id,
      task: 'Loans.recompute',
      key: 'loan:42',
      args: [42, new Date('2026-01-02')],
      delay: 0,
      queue: 'tasks',
      priority: 3,
      headers: {},
    });
    expect(call?.args[1].getTime()).to.equal(Date.UTC(2026, 0, 2));
    expect(app.enqueued(Loans, 'report').map(({ args, delay }) => [args, delay])).to.deep.equal([[[7], 300_000]]);
    expect(app.discarded(Loans, 'recompute')).to.have.length(1);
    expect(app.discarded()[0]).to.deep.include({ key: 'loan:42', holder: { id, phase: 'queued' }, side: 'enqueue' });
    expect(ran).to.deep.equal([]);

    const summary = await app.drain();
    expect(summary).to.deep.equal({ succeeded: 3, retried: 0, discarded: 0, dead: [], waiting: 0 });
    expect(ran).to.deep.equal(['recompute 42 2026', 'report 42', 'report 7']);
    expect(app.enqueued(Loans, 'report')).to.have.length(2);
    expect(await app.drain()).to.include({ succeeded: 0 });
  });

  it('skips delays and back-offs instead of waiting, one after the other, in their order', async () => {
    const ran: string[] = [];
    class Loans {
      @Task({ unique: 'loan:<loanId>', retry: { attempts: 4, delay: '1h', factor: 1, maxDelay: '1h', jitter: false } })
      async recompute(loanId: number) {
        ran.push(`${loanId}, attempt ${taskContext().attempt}`);
        if (loanId === 1 && taskContext().attempt < 3) throw new Error('not yet');
        if (loanId === 2 && taskContext().attempt < 2) throw new RetryTask({ delay: '30d' });
      }
    }
    const app = open({ services: [Loans] });
    const began = performance.now();
    await app.tasks(Loans).recompute(1);
    await app.tasks(Loans).recompute(2);
    await app.tasks(Loans, { delay: '90m' }).recompute(3);
    expect(await app.drain()).to.include({ succeeded: 3, retried: 3 });
    expect(ran).to.deep.equal([
      '1, attempt 1',
      '2, attempt 1',
      '1, attempt 2',
      '3, attempt 1',
      '1, attempt 3',
      '2, attempt 2',
    ]);
    expect(performance.now() - began).to.be.below(2_000);
  });

  it('lets no more time pass than it is told', async () => {
    const ran: number[] = [];
    class Reminders {
      @Task()
      async send(loanId: number) {
        ran.push(loanId);
      }
    }
    const app = open({ services: [Reminders] });
    await app.tasks(Reminders, { delay: '7d' }).send(7);
    await app.tasks(Reminders).send(0);
    expect(await app.drain({ within: 0 })).to.include({ succeeded: 1, waiting: 1 });
    expect(await app.drain({ within: '6d' })).to.include({ succeeded: 0, waiting: 1 });
    await app.tasks(Reminders, { delay: '12h' }).send(6);
    expect(await app.drain({ within: '25h' })).to.include({ succeeded: 2, waiting: 0 });
    expect(ran).to.deep.equal([0, 6, 7]);
  });

  it('waits for real work, and keeps the lease of a long one while others wait for its end', async () => {
    const ran: string[] = [];
    class Loans {
      @Task()
      @ShouldCompute({ key: 'loan:<loanId>', lease: 150 })
      async recompute(loanId: number) {
        ran.push('begin');
        await sleep(400);
        ran.push(taskContext().signal.aborted ? 'aborted' : 'end');
      }
    }
    const app = open({ services: [Loans] });
    await app.tasks(Loans).recompute(1);
    await app.tasks(Loans).recompute(1);
    expect(await app.drain({ concurrency: 4 })).to.include({ succeeded: 1, discarded: 1 });
    expect(ran).to.deep.equal(['begin', 'end']);
    expect(app.discarded(Loans, 'recompute')[0]).to.include({ side: 'worker', reason: 'running' });
  });

  it('counts a timeLimit by the real time of the body, which is not skipped', async () => {
    class Loans {
      @Task({ timeLimit: '1h' })
      async recompute() {
        await sleep(50);
      }
      @Task({ timeLimit: 50, thread: true, retry: false })
      async simulate() {
        await sleep(60_000, undefined, { signal: taskContext().signal });
      }
    }
    const app = open({ services: [Loans] });
    await app.tasks(Loans).recompute();
    await app.tasks(Loans).simulate();
    const { succeeded, dead } = await app.drain({ allowDead: true });
    expect(succeeded).to.equal(1);
    expect(dead.map(({ task, code }) => [task, code])).to.deep.equal([['Loans.simulate', 'TIME_LIMIT']]);
  });

  it('rejects when a task died, unless it is told not to, and keeps the very error', async () => {
    const gone = new RejectTask('the loan is gone');
    class Loans {
      @Task({ unique: 'loan:<loanId>', retry: 2 })
      async recompute(loanId: number) {
        if (loanId === 1) throw new Error('no rates');
        if (loanId === 2) throw gone;
      }
    }
    const app = open({ services: [Loans] });
    for (const loanId of [1, 2, 3]) await app.tasks(Loans).recompute(loanId);
    const error = await rejection(app.drain());
    expect(error).to.include({ code: 'DEAD_TASKS', cause: gone });
    expect(error.message).to.equal(
      '2 tasks died:\n  Loans.recompute(2), run 1: the loan is gone\n  Loans.recompute(1), run 2: no rates',
    );
    expect(app.dead(Loans, 'recompute').map(({ args, attempt, code }) => [args[0], attempt, code])).to.deep.equal([
      [2, 1, 'REJECTED'],
      [1, 2, 'FAILED'],
    ]);
    await app.tasks(Loans).recompute(2);
    const { dead } = await app.drain({ allowDead: true });
    expect(dead.map(({ error: thrown }) => thrown)).to.deep.equal([gone]);
  });

  it('runs every drain on the same instance of a class', async () => {
    class Counter {
      count = 0;

      @Task()
      async up() {
        this.count++;
        if (this.count === 2) throw new RejectTask(`count is ${this.count}`);
      }
    }
    const app = open({ services: [Counter] });
    await app.tasks(Counter).up();
    await app.drain();
    await app.tasks(Counter).up();
    const { dead } = await app.drain({ allowDead: true });
    expect(dead[0]?.error.message).to.equal('count is 2');
  });

  it('knows the options of a call, runs what names another queue, and keeps what is sent to somebody else', async () => {
    const ran: string[] = [];
    class Loans {
      @Task({ unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        ran.push(`${loanId} ${taskContext().key}`);
        if (loanId === 1) await app.enqueueMany(Loans, 'recompute', [[2], [2], [3]], { queue: 'slow' });
        return loanId * 2;
      }
    }
    const app = open({ services: [Loans], results: 'redis://nobody.invalid' });
    const at = new Date(Date.now() + 3_600_000);
    await sleep(20);
    const receipt = await app.tasks(Loans, { key: 'own', headers: { trace: 'a1' }, at }).recompute(1);
    await app.send('loans.audit', { args: [42], queue: 'celery' });
    expect(app.enqueued(Loans, 'recompute')[0]).to.deep.include({ key: 'own', headers: { trace: 'a1' } });
    expect(app.enqueued(Loans, 'recompute')[0]?.delay).to.be.closeTo(3_600_000, 1_000);
    expect(app.enqueued().map(({ task, queue, args }) => [task, queue, args])).to.deep.include([
      'loans.audit',
      'celery',
      [42],
    ]);
    expect(await app.drain()).to.deep.include({ succeeded: 3, discarded: 1, dead: [] });
    expect(ran).to.deep.equal(['1 own', '2 loan:2', '3 loan:3']);
    expect(await receipt.result()).to.equal(2);
  });

  it('ends a drain that would have no end', async () => {
    class Polls {
      @Task()
      async poll() {
        await tasks(Polls, { delay: '1m' }).poll();
      }
    }
    const app = open({ services: [Polls] });
    await app.tasks(Polls).poll();
    expect(await rejection(app.drain({ runs: 20 }))).to.have.property('code', 'ENDLESS');
    expect((await app.drain({ within: '9m' })).succeeded).to.be.within(8, 10);
  });

  it('forgets messages, locks and what happened at a reset', async () => {
    class Loans {
      @Task({ unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        if (loanId === 1) throw new RejectTask('no');
      }
    }
    const app = open({ services: [Loans] });
    await app.tasks(Loans).recompute(1);
    await rejection(app.drain());
    await app.tasks(Loans).recompute(2);
    await app.tasks(Loans).recompute(2);
    await app.tasks(Loans, { delay: '1m' }).recompute(3);
    app.reset();
    expect([app.enqueued(), app.discarded(), app.dead()]).to.deep.equal([[], [], []]);
    for (const loanId of [2, 3]) expect(await app.tasks(Loans).recompute(loanId)).to.include({ status: 'enqueued' });
    expect(await app.drain()).to.include({ succeeded: 2 });
  });

  it('refuses unknown tasks and options, and what would wait for itself', async () => {
    class Loans {
      @Task()
      async recompute() {
        await open({ services: [Others] }).drain();
      }

      plain() {}
    }
    class Others {
      @Task()
      async other() {}
    }
    const app = open({ services: [Loans] });
    expect(thrownBy(() => app.enqueued(Loans, 'plain'))).to.have.property('code', 'NOT_A_TASK');
    expect(thrownBy(() => app.dead(Others, 'other')))
      .to.have.property('message')
      .that.contains('not listed');
    expect(thrownBy(() => testApp({ services: [Loans] }, { inlined: true } as object)))
      .to.have.property('message')
      .that.contains("did you mean 'inline'");
    expect(await rejection(app.drain({ timeout: 5 } as object)))
      .to.have.property('message')
      .that.contains('within');
    await app.tasks(Loans).recompute();
    const { dead } = await app.drain({ allowDead: true, within: '1h' });
    expect(dead[0]?.error).to.have.property('message').that.contains('would wait for itself');
  });

  describe('inline', () => {
    it('runs a task before its enqueue resolves, through the bytes of its message', async () => {
      const seen: unknown[] = [];
      class Payment {
        @IsPositive()
        amount!: number;
      }
      class Loans {
        @Task({ unique: 'loan:<loanId>' })
        async book(loanId: number, payment: Payment, on: Date) {
          seen.push([loanId, payment, on instanceof Date, taskContext().key]);
        }
      }
      const app = open({ services: [Loans] }, { inline: true });
      const payment = { amount: 100, note: undefined };
      expect(await app.tasks(Loans).book(1, payment, new Date())).to.include({ status: 'enqueued' });
      expect(seen).to.have.length(1);
      const [loanId, received, isDate, key] = seen[0] as unknown[];
      expect([loanId, isDate, key]).to.deep.equal([1, true, 'loan:1']);
      expect(received).to.be.instanceOf(Payment).and.not.equal(payment);
      expect(Object.keys(received as object)).to.deep.equal(['amount']);
      const refused = await rejection(app.tasks(Loans).book(1, { amount: -1 }, new Date()));
      expect(refused).to.have.property('code', 'PAYLOAD');
      expect(app.enqueued(Loans, 'book')).to.have.length(1);
    });

    it('rejects with what the task died of, after its retries', async () => {
      const attempts: number[] = [];
      const error = new Error('no rates');
      class Loans {
        @Task({ unique: 'loan:<loanId>', retry: { attempts: 3, delay: '10m' } })
        async recompute(loanId: number) {
          attempts.push(taskContext().attempt);
          if (loanId === 1 || taskContext().attempt < 2) throw error;
        }
      }
      const app = open({ services: [Loans] }, { inline: true });
      expect(await rejection(app.tasks(Loans).recompute(1))).to.equal(error);
      expect(attempts.splice(0)).to.deep.equal([1, 2, 3]);
      expect(await app.tasks(Loans).recompute(2)).to.include({ status: 'enqueued' });
      expect(attempts).to.deep.equal([1, 2]);
      expect(await rejection(app.tasks(Loans).recompute(1)), 'the key was freed').to.equal(error);
    });

    it('hands a nested call over to the run that it is made in, and runs that once more', async () => {
      const ran: unknown[] = [];
      class Loans {
        @Task()
        @ShouldCompute({ key: 'loan:<loanId>', onDuplicate: 'coalesce' })
        async recompute(loanId: number, note: string) {
          ran.push([loanId, note]);
          if (note === 'first') await tasks(Loans).recompute(loanId, 'second');
        }
      }
      const app = open({ services: [Loans] }, { inline: true });
      await app.tasks(Loans).recompute(1, 'first');
      expect(ran).to.deep.equal([
        [1, 'first'],
        [1, 'second'],
      ]);
    });

    it('nests, holds the key of the running task, and leaves what has a delay to drain()', async () => {
      const ran: string[] = [];
      class Loans {
        @Task({ unique: { key: 'loan:<loanId>', lease: '1s' } })
        async recompute(loanId: number) {
          ran.push('begin');
          const again = await tasks(Loans).recompute(loanId);
          await Promise.all([tasks(Loans).report(1), tasks(Loans).report(2)]);
          await tasks(Loans, { delay: '1h' }).report(3);
          ran.push(`end, ${again.status}`);
        }

        @Task({ retry: { attempts: 2, delay: '5m', jitter: false } })
        async report(part: number) {
          if (part === 2 && taskContext().attempt === 1) throw new Error('later');
          ran.push(`report ${part}`);
        }
      }
      const app = open({ services: [Loans] }, { inline: true });
      await app.tasks(Loans).recompute(1);
      expect(ran).to.deep.equal(['begin', 'report 1', 'report 2', 'end, discarded']);
      expect(await app.drain()).to.include({ succeeded: 1 });
      expect(ran.at(-1)).to.equal('report 3');
    });
  });

  describe('with an app that is there', () => {
    it('is that app, on memory parts, whatever its code says of broker and locks', async () => {
      const ran: number[] = [];
      class Loans {
        @Task({ unique: 'loan:<loanId>' })
        async recompute(loanId: number) {
          ran.push(loanId);
        }

        changed(loanId: number) {
          return loans.tasks(Loans).recompute(loanId);
        }
      }
      const loans = createApp({ broker: 'amqp://nobody.invalid', locks: undefined, services: () => [Loans] });
      const app = testApp(loans);
      opened.push(app);
      expect(app).to.equal(loans);
      await new Loans().changed(1);
      await tasks(Loans).recompute(2);
      expect(app.enqueued(Loans, 'recompute').map(({ args }) => args)).to.deep.equal([[1], [2]]);
      expect(testApp(loans, { inline: true })).to.equal(loans);
      expect(app.enqueued()).to.deep.equal([]);
      await new Loans().changed(3);
      expect(ran).to.deep.equal([3]);
    });

    it('refuses one that is in use or closed', async () => {
      class Loans {
        @Task()
        async recompute() {}
      }
      const loans = createApp({ broker: 'memory:', locks: 'memory:', services: [Loans] });
      await loans.connect();
      expect(thrownBy(() => testApp(loans)))
        .to.have.property('message')
        .that.contains('in use');
      await loans.close();
    });

    it('goes before other apps that list the class, and two test apps are told apart', async () => {
      class Loans {
        @Task()
        async recompute(loanId: number) {
          return loanId;
        }
      }
      const real = createApp({ broker: 'amqp://nobody.invalid', locks: 'redis://nobody.invalid', services: [Loans] });
      const app = open({ services: [Loans] });
      await tasks(Loans).recompute(1);
      expect(app.enqueued()).to.have.length(1);
      const second = open({ services: [Loans] });
      expect(thrownBy(() => tasks(Loans))).to.have.property('code', 'AMBIGUOUS_APP');
      await second.close();
      await tasks(Loans).recompute(2);
      expect(app.enqueued()).to.have.length(2);
      await real.close();
    });
  });
});
