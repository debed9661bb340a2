import { expect } from 'chai';
import { RejectTask, ShouldCompute, Task, taskContext, tasks, type TaskEvents } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage, type Stage } from '../support/stage.js';

const COALESCE = { key: 'loan:<loanId>', onDuplicate: 'coalesce' } as const;

/** After a last run: nothing waits, nobody has the key, no arguments are kept. */
async function nothingIsLeft(stage: Stage, task = 'Loans.recompute'): Promise<void> {
  await eventually(async () => {
    const record = await stage.record(task, 'loan:1');
    expect([record?.owner, record?.args, record?.mark]).to.deep.equal([undefined, undefined, undefined]);
    expect(await stage.ready()).to.equal(0);
  });
}

onEveryStage('coalesce, while the holder waits or runs', (stage) => {
  // R1, R5
  it('runs once more with the arguments of a call that came during the run, then accepts the next', async () => {
    const gate = new Gate();
    const runs: object[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        const { attempt, rerun, fence } = taskContext();
        runs.push({ rate, attempt, rerun, fence });
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const events: TaskEvents['task:coalesced'][] = [];
    app.on('task:coalesced', (event) => events.push(event));
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const second = await app.tasks(Loans).recompute(1, 2);
    expect(second).to.include({ status: 'coalesced', id: first.id, key: 'loan:1' });
    expect(second.holder).to.deep.equal({ id: first.id, phase: 'running' });
    expect(events).to.have.length(1);
    expect(events[0]).to.deep.include({ task: 'Loans.recompute', side: 'enqueue', holder: second.holder });
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(runs.map((run) => ({ ...run, fence: 0 }))).to.deep.equal([
      { rate: 1, attempt: 1, rerun: 0, fence: 0 },
      { rate: 2, attempt: 1, rerun: 1, fence: 0 },
    ]);
    const [one, two] = runs as { fence: number }[];
    expect(two!.fence).to.be.above(one!.fence);
    expect(await app.tasks(Loans).recompute(1, 3)).to.include({ status: 'enqueued' });
    await eventually(() => expect(ended.total).to.equal(3));
    expect(runs[2]).to.include({ rate: 3, rerun: 0 });
  });

  // R2
  it('runs once more with the newest of many', async () => {
    const gate = new Gate();
    const rates: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    for (const rate of [2, 3, 4]) await app.tasks(Loans).recompute(1, rate);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 4]);
  });

  // R3
  it('runs once with the newest arguments when nobody had begun', async () => {
    const rates: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    const first = await app.tasks(Loans).recompute(1, 1);
    for (const rate of [2, 3]) {
      const receipt = await app.tasks(Loans).recompute(1, rate);
      expect(receipt).to.include({ status: 'coalesced', id: first.id });
      expect(receipt.holder?.phase).to.equal('queued');
    }
    expect(await stage.ready()).to.equal(1);
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(1));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([3]);
  });

  it('takes the arguments of the last of many calls of one moment', async () => {
    const rates: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.connect();
    const calls = Array.from({ length: 20 }, (_, i) => app.tasks(Loans).recompute(1, i));
    // Some come while the claim of the first ones is under way.
    await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    calls.push(app.tasks(Loans).recompute(1, 20), app.tasks(Loans).recompute(1, 21));
    const receipts = await Promise.all(calls);
    expect(receipts.map(({ status }) => status).filter((status) => status === 'enqueued')).to.have.length(1);
    expect(new Set(receipts.map(({ id }) => id)).size).to.equal(1);
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(1));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([21]);
  });

  // R11
  it('takes later arguments of a producer whose clock is slow', async () => {
    const rates: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const slow = stage.app([Loans], { clock: { ...systemClock, now: () => systemClock.now() - 60_000 } });
    const ended = stage.count(app, 'task:succeeded');
    await app.tasks(Loans).recompute(1, 1);
    expect(await slow.tasks(Loans).recompute(1, 2)).to.include({ status: 'coalesced' });
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(1));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([2]);
  });

  // E10
  it('runs once more after a run that enqueued its own key', async () => {
    const seen: string[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        seen.push(`run ${rate}`);
        if (rate === 1) seen.push((await tasks(Loans).recompute(loanId, 2)).status);
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(seen).to.deep.equal(['run 1', 'coalesced', 'run 2']);
  });

  it('refuses arguments that are too large to be kept with a key', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, note: string) {
        return [loanId, note];
      }
    }
    const app = stage.app([Loans]);
    const refused = await app
      .tasks(Loans)
      .recompute(1, 'x'.repeat(16_384))
      .catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'PAYLOAD');
    expect(refused).to.have.property('message').that.contains('16384');
    expect(await stage.ready()).to.equal(0);
  });

  // R10
  it('moves a key that stays hot to a fresh delivery, so that others get their turn', async () => {
    const order: string[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        order.push(`${loanId}: ${rate} (${taskContext().rerun})`);
        if (loanId !== 1) return;
        await gate.pass();
        if (rate < 14) await tasks(Loans).recompute(1, rate + 1);
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker({ concurrency: 1 }).start();
    await app.tasks(Loans).recompute(1, 0);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await app.tasks(Loans).recompute(2, 0);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(16));
    await nothingIsLeft(stage);
    const hot = Array.from({ length: 11 }, (_, i) => `1: ${i} (${i})`);
    const fresh = Array.from({ length: 4 }, (_, i) => `1: ${i + 11} (${i})`);
    expect(order).to.deep.equal([...hot, '2: 0 (0)', ...fresh]);
  });
});

onEveryStage('coalesce, when runs fail or messages come late', (stage) => {
  // R4
  it('gives the newest arguments to the retry, whenever they come before it', async () => {
    const runs: string[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE, retry: { attempts: 3, delay: '1s', jitter: false } })
      async recompute(loanId: number, rate: number) {
        runs.push(`${rate} at ${taskContext().attempt}`);
        await gate.pass();
        if (taskContext().attempt === 1) throw new Error('not yet');
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const retried = stage.count(app, 'task:retried');
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
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
    // The first run, its hold, then the retry: to that the record tells nothing any more.
    let reads = 0;
    const app = stage.app([Loans], { before: (method) => (method === 'newest' && ++reads === 3 ? 'none' : undefined) });
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
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
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await app.tasks(Loans).recompute(1, 2);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(runs).to.deep.equal(['1 at 1', '1 at 2', '2 at 1', '2 at 2']);
  });

  // R8
  it('takes arguments that come between the refused release and the next claim', async () => {
    const rates: number[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        await gate.pass();
        return loanId;
      }
    }
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
    const rates: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        return loanId;
      }
    }
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
    const rates: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { ...COALESCE, ttl: 100 } })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        return loanId;
      }
    }
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

onEveryStage('coalesce on the worker', (stage) => {
  it('lets one message run and the running one take over the arguments of the others', async () => {
    const rates: number[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue })
      @ShouldCompute(COALESCE)
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const coalesced = stage.count(app, 'task:coalesced');
    const ended = stage.count(app, 'task:succeeded');
    await app.worker({ concurrency: 1, prefetch: 1 }).start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    for (const rate of [2, 3, 4]) expect(await app.tasks(Loans).recompute(1, rate)).to.include({ status: 'enqueued' });
    const other = stage.app([Loans]);
    const handed = stage.count(other, 'task:coalesced');
    await other.worker({ concurrency: 1 }).start();
    await eventually(() => expect(handed.total).to.equal(3));
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 4]);
    expect(coalesced.total).to.equal(0);
  });

  it('lets a message wait its turn when nobody can say whose arguments are newer', async () => {
    const rates: number[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: { ...COALESCE, lease: 1_000 } })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        await gate.pass();
        return loanId;
      }
    }
    let published = 0;
    const app = stage.app([Loans], { onPublish: () => void published++ });
    const ended = stage.count(app, 'task:succeeded');
    const dropped = stage.count(app, 'task:coalesced', 'task:discarded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    // A foreign message has no sequence.
    await stage.publish({
      properties: { contentType: 'application/json', contentEncoding: 'utf-8', correlationId: 'foreign' },
      headers: { lang: 'py', task: 'Loans.recompute', id: 'foreign' },
      body: Buffer.from('[[1,2],{},{}]'),
    });
    await eventually(() => expect(published).to.equal(2));
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2), { timeout: 10_000 });
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 2]);
    expect(dropped.total).to.equal(0);
  });

  it('loses nothing with acksLate false: a fresh message takes the newer arguments up', async () => {
    const runs: string[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, acksLate: false, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        runs.push(`${rate} (${taskContext().rerun})`);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await app.tasks(Loans).recompute(1, 2);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(runs).to.deep.equal(['1 (0)', '2 (0)']);
  });

  it('hands a key over when its worker stops between two runs', async () => {
    const rates: number[] = [];
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const worker = app.worker();
    await worker.start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await app.tasks(Loans).recompute(1, 2);
    const stopped = worker.stop();
    gate.open();
    expect(await stopped).to.deep.equal({ aborted: 0 });
    expect(rates).to.deep.equal([1]);
    const next = stage.app([Loans]);
    const ended = stage.count(next, 'task:succeeded');
    await next.worker().start();
    await eventually(() => expect(ended.total).to.equal(1));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 2]);
  });

  it('gives the arguments of an aborted re-run to the next delivery', async () => {
    const rates: number[] = [];
    const gates = [new Gate(), new Gate(), new Gate()];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        const run = rates.push(rate);
        const { signal } = taskContext();
        const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
        await Promise.race([gates[run - 1]!.pass(), aborted]);
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gates[0]!.arrivals).to.equal(1));
    await app.tasks(Loans).recompute(1, 2);
    gates[0]!.open();
    await eventually(() => expect(gates[1]!.arrivals).to.equal(1));
    await stage.dropConnections();
    await eventually(() => expect(gates[2]!.arrivals).to.equal(1), { timeout: 10_000 });
    gates[2]!.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 2, 2]);
  });
});
