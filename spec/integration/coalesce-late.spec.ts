import { expect } from 'chai';
import { RejectTask, Task, taskContext, type TaskEvents } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { COALESCE, firstRuns, gatedLoans, nothingIsLeft } from '../support/coalesce.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('coalesce, when runs fail or messages come late', (stage) => {
  /** A service whose first attempt fails, and what it ran with. */
  function retriedLoans() {
    const runs: string[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE, retry: { attempts: 2, delay: '1s', jitter: false } })
      async recompute(loanId: number, rate: number) {
        runs.push(`${rate} at ${taskContext().attempt}`);
        await gate.pass();
        if (taskContext().attempt === 1) throw new Error('not yet');
        return loanId;
      }
    }
    return { Loans, gate, runs };
  }

  // R4
  it('gives the newest arguments to the retry, whenever they come before it', async () => {
    const { Loans, gate, runs } = retriedLoans();
    const app = stage.app([Loans]);
    const retried = stage.count(app, 'task:retried');
    const ended = stage.count(app, 'task:succeeded');
    const first = await firstRuns(app, { Loans, gate });
    await app.tasks(Loans).recompute(1, 2);
    gate.open();
    await eventually(() => expect(retried.total).to.equal(1));
    const receipt = await app.tasks(Loans).recompute(1, 3);
    expect(receipt).to.include({ status: 'coalesced', id: first.id });
    expect(receipt.holder?.phase).to.equal('queued');
    await eventually(() => expect(ended.total).to.equal(1));
    await nothingIsLeft(stage);
    expect(runs).to.deep.equal(['1 at 1', '3 at 2']);
  });

  it('carries newer arguments in the message of the retry, too: a lost record does not lose them', async () => {
    const { Loans, gate, runs } = retriedLoans();
    // The first run, its hold, then the retry: to that the record tells nothing any more.
    let reads = 0;
    const app = stage.app([Loans], { before: (method) => (method === 'newest' && ++reads === 3 ? 'none' : undefined) });
    const ended = stage.count(app, 'task:succeeded');
    await firstRuns(app, { Loans, gate });
    await app.tasks(Loans).recompute(1, 2);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    await nothingIsLeft(stage);
    expect(runs).to.deep.equal(['1 at 1', '2 at 2']);
    expect(reads).to.equal(3);
  });

  // R6
  it('buries the arguments of a run that failed for good, then runs with the newer ones', async () => {
    const runs: string[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        runs.push(`${rate} at ${taskContext().attempt}, ${taskContext().rerun}`);
        await gate.pass();
        if (rate < 3) throw new RejectTask('no such rate');
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const dead = stage.count(app, 'task:dead');
    const ended = stage.count(app, 'task:succeeded');
    await app.tasks(Loans).recompute(1, 1);
    await app.tasks(Loans).recompute(1, 2);
    await app.worker().start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await app.tasks(Loans).recompute(1, 3);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    await nothingIsLeft(stage);
    expect(runs).to.deep.equal(['2 at 1, 0', '3 at 1, 1']);
    expect(dead.total).to.equal(1);
    const letters = await stage.dead();
    expect(letters).to.have.length(1);
    const [args] = JSON.parse(letters[0]!.body.toString()) as unknown[];
    expect(args).to.deep.equal([1, 2]);
    expect(letters[0]!.headers).to.include({ dead_code: 'REJECTED', argsrepr: '[1,2]' });
  });

  it('gives a re-run attempts of its own', async () => {
    const runs: string[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE, retry: { attempts: 2, delay: 10, jitter: false } })
      async recompute(loanId: number, rate: number) {
        const { attempt } = taskContext();
        runs.push(`${rate} at ${attempt}`);
        if (attempt === 1) throw new Error('not yet');
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await firstRuns(app, { Loans, gate });
    await app.tasks(Loans).recompute(1, 2);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(runs).to.deep.equal(['1 at 1', '1 at 2', '2 at 1', '2 at 2']);
  });

  // R8
  it('takes arguments that come between the refused release and the next claim', async () => {
    const { Loans, gate, rates } = gatedLoans(stage);
    const producer = stage.app([Loans]);
    const worker = stage.app([Loans], {
      before: async (method, [, claim]) => {
        if (method === 'claimRunning' && (claim as { rerun?: boolean }).rerun === true && rates.length === 1)
          await producer.tasks(Loans).recompute(1, 3);
      },
    });
    const ended = stage.count(worker, 'task:succeeded');
    await worker.worker().start();
    await producer.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await producer.tasks(Loans).recompute(1, 2);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 3]);
  });

  it('runs again for arguments that come between the claim and the body', async () => {
    const { Loans, gate, rates } = gatedLoans(stage);
    gate.open();
    const producer = stage.app([Loans]);
    let late = true;
    const worker = stage.app([Loans], {
      before: async (method) => {
        if (method !== 'newest' || !late) return;
        late = false;
        await producer.tasks(Loans).recompute(1, 2);
      },
    });
    const ended = stage.count(worker, 'task:succeeded');
    await producer.tasks(Loans).recompute(1, 1);
    await worker.worker().start();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 2]);
  });

  // R12
  for (const onDuplicate of ['coalesce', 'discard'] as const) {
    it(`drops a message that comes back after a younger one has run (${onDuplicate})`, async () => {
      const rates: number[] = [];
      const gate = new Gate();
      class Loans {
        @Task({ queue: stage.queue, unique: { ...COALESCE, onDuplicate } })
        async recompute(loanId: number, rate: number) {
          rates.push(rate);
          if (rate > 1) return;
          const { signal } = taskContext();
          await new Promise<void>((resolve) => {
            signal.addEventListener('abort', () => resolve());
            void gate.pass();
          });
        }
      }
      const app = stage.app([Loans]);
      const first = app.worker();
      await first.start();
      const old = await app.tasks(Loans).recompute(1, 1);
      await eventually(() => expect(gate.arrivals).to.equal(1));
      await first.stop({ timeout: 0 });
      const young = await app.tasks(Loans).recompute(1, 2);
      expect(young).to.include({ status: 'enqueued' });
      const youngEnded = new Gate();
      const next = stage.app([Loans], {
        before: (method, [, claim]) =>
          method === 'claimRunning' && (claim as { owner: string }).owner === old.id ? youngEnded.pass() : undefined,
      });
      next.on('task:succeeded', () => youngEnded.open());
      const dropped: TaskEvents['task:discarded'][] = [];
      next.on('task:discarded', (event) => dropped.push(event));
      await next.worker().start();
      await eventually(() => expect(dropped).to.have.length(1));
      expect(dropped[0]).to.deep.include({ id: old.id, reason: 'done', holder: { id: young.id, phase: undefined } });
      await nothingIsLeft(stage);
      expect(rates).to.deep.equal([1, 2]);
    });
  }

  it('never makes old arguments the newest: a refused message brings its own sequence', async () => {
    const { Loans, gate, rates } = gatedLoans(stage, { unique: { ...COALESCE, ttl: 100 } });
    gate.open();
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    const coalesced: TaskEvents['task:coalesced'][] = [];
    const old = await app.tasks(Loans).recompute(1, 1);
    // The ttl of the first has passed when its key is accepted again.
    const young = await eventually(async () => {
      const record = await stage.record('Loans.recompute', 'loan:1');
      expect(record?.deadline).to.be.below(systemClock.now());
      return app.tasks(Loans).recompute(1, 2);
    });
    expect(young).to.include({ status: 'enqueued' });
    expect(young.id).to.not.equal(old.id);
    app.on('task:coalesced', (event) => coalesced.push(event));
    await app.worker({ concurrency: 1 }).start();
    await eventually(() => expect(ended.total).to.equal(1));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([2]);
    expect(coalesced.length).to.equal(1);
    expect(coalesced[0]).to.deep.include({ id: old.id, side: 'worker', holder: { id: young.id, phase: 'queued' } });
  });
});
