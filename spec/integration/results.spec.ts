import { inspect } from 'node:util';
import { expect } from 'chai';
import { ShouldCompute, Task, type LockRecord, type Receipt, type ResultBackend, type TaskEvents } from 'solotask';
import { encode } from '../../lib/celery-protocol.js';
import { systemClock } from '../../lib/clock.js';
import { ResultsUnavailableError, TaskFailedError } from '../../lib/errors.js';
import { createMemoryResults } from '../../lib/results/memory.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';
import { rejection } from '../support/transports.js';

onEveryStage('results', (stage) => {
  it('gives the producer what a worker of another app returned, before and after the run, as JSON carries it', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async summary(loanId: number) {
        return { loanId, at: new Date(0), rates: [1.5, undefined], note: undefined };
      }

      @Task({ queue: stage.queue })
      async nothing() {}
    }
    const producer = stage.app([Loans], { results: true });
    const receipt = await producer.tasks(Loans).summary(42);
    const nothing = await producer.tasks(Loans).nothing();
    const early = receipt.result();
    await stage.app([Loans], { results: true }).worker().start();
    const summary = { loanId: 42, at: '1970-01-01T00:00:00.000Z', rates: [1.5, null] };
    expect(await early).to.deep.equal(summary);
    expect(await receipt.result({ timeout: '5s' })).to.deep.equal(summary);
    expect(await nothing.result()).to.equal(null);
  });

  it('gives no result of an earlier task to the next one of its id', async () => {
    let runs = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: 'nightly' })
      async recompute() {
        return ++runs;
      }
    }
    const app = stage.app([Loans], { results: true });
    const worker = app.worker();
    const first = await app.tasks(Loans, { id: 'nightly' }).recompute();
    await worker.start();
    expect(await first.result()).to.equal(1);
    await worker.stop();
    const second = await app.tasks(Loans, { id: 'nightly' }).recompute();
    expect(second.status).to.equal('enqueued');
    const result = second.result();
    await app.worker().start();
    expect(await result).to.equal(2);
  });

  // E15
  it('gives the result of the holder to whom was discarded', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        await gate.pass();
        return { loanId };
      }
    }
    const app = stage.app([Loans], { results: true });
    const first = await app.tasks(Loans).recompute(42);
    const queued = await app.tasks(Loans).recompute(42);
    await app.worker().start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const running = await stage.app([Loans], { results: true }).tasks(Loans).recompute(42);
    expect([queued, running].map(({ status, id }) => [status, id])).to.deep.equal([
      ['discarded', first.id],
      ['discarded', first.id],
    ]);
    const results = [first, queued, running].map((receipt) => receipt.result());
    gate.open();
    expect(await Promise.all(results)).to.deep.equal(Array(3).fill({ loanId: 42 }));
  });

  // E15
  it('rejects with the final failure, its text, class, code and stack, for the holder and for whom was discarded', async () => {
    class RateError extends Error {
      readonly code = 'E_RATE';
    }
    let runs = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', retry: { attempts: 2, delay: 50 } })
      async recompute(loanId: number): Promise<number> {
        runs++;
        throw new RateError(`no rate for ${loanId}, run ${runs}`);
      }
    }
    const app = stage.app([Loans], { results: true });
    const receipts = [await app.tasks(Loans).recompute(42), await app.tasks(Loans).recompute(42)];
    const rejections = receipts.map((receipt) => rejection(receipt.result()));
    await app.worker().start();
    for (const error of await Promise.all(rejections)) {
      expect(error)
        .to.be.instanceOf(TaskFailedError)
        .and.include({ code: 'TASK_FAILED', message: 'no rate for 42, run 2' });
      const { data, remoteStack } = error as TaskFailedError;
      expect(data).to.deep.equal({ id: receipts[0]?.id, type: 'RateError', code: 'E_RATE' });
      expect(remoteStack).to.match(/^Error: no rate for 42, run 2\n +at .*recompute/);
      // Printed, it shows both places.
      expect(inspect(error)).to.match(
        /TaskFailedError: no rate for 42, run 2\n(.*\n)* +\[cause\]: Error: no rate for 42, run 2\n +at/,
      );
    }
  });

  it('gives the result of the run that a worker dropped the message for: while it runs, and after it', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue })
      @ShouldCompute('loan:<loanId>')
      async recompute(loanId: number, by: string) {
        await gate.pass();
        return { loanId, by };
      }
    }
    const app = stage.app([Loans], { results: true });
    const discarded = stage.count(app, 'task:discarded');
    const first = await app.tasks(Loans).recompute(42, 'first');
    await app.worker().start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const second = await app.tasks(Loans).recompute(42, 'second');
    expect(second).to.include({ status: 'enqueued' }).and.not.include({ id: first.id });
    const early = second.result();
    await eventually(() => expect(discarded.total).to.equal(1));
    gate.open();
    expect(await early).to.deep.equal({ loanId: 42, by: 'first' });
    expect(await second.result()).to.deep.equal({ loanId: 42, by: 'first' });
  });

  it('gives whoever was coalesced the result of the run that has the arguments: on a holder that waits, and on one that runs', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce' } })
      async recompute(loanId: number, by: string) {
        await gate.pass();
        return { loanId, by };
      }
    }
    const app = stage.app([Loans], { results: true });
    const first = await app.tasks(Loans).recompute(42, 'first');
    const waiting = await app.tasks(Loans).recompute(42, 'second');
    const [early, same] = [first.result(), waiting.result()];
    await app.worker().start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const running = await app.tasks(Loans).recompute(42, 'third');
    expect([waiting, running].map(({ status, id }) => [status, id])).to.deep.equal([
      ['coalesced', first.id],
      ['coalesced', first.id],
    ]);
    const later = running.result();
    gate.open();
    expect(await later).to.deep.equal({ loanId: 42, by: 'third' });
    expect(await early).to.deep.include({ loanId: 42 });
    expect(await same).to.deep.include({ loanId: 42 });
  });

  it('gives the result of the next run to whom a worker coalesced while the holder ran', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue })
      @ShouldCompute({ key: 'loan:<loanId>', onDuplicate: 'coalesce' })
      async recompute(loanId: number, by: string) {
        await gate.pass();
        return { loanId, by };
      }
    }
    const app = stage.app([Loans], { results: true });
    const coalesced = stage.count(app, 'task:coalesced');
    await app.tasks(Loans).recompute(42, 'first');
    await app.worker().start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const second = await app.tasks(Loans).recompute(42, 'second');
    await eventually(() => expect(coalesced.total).to.equal(1));
    const result = second.result();
    gate.open();
    expect(await result).to.deep.equal({ loanId: 42, by: 'second' });
  });

  it('fails a task for good whose result JSON cannot carry, naming the path, and frees its key', async () => {
    let runs = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<kind>' })
      async recompute(kind: string): Promise<object> {
        runs++;
        const wrong: Record<string, object> = {
          map: { summary: { rates: new Map() } },
          bigint: [1n],
          getter: {
            get total() {
              throw new Error('not loaded');
            },
          },
        };
        return wrong[kind] ?? {};
      }
    }
    const app = stage.app([Loans], { results: true });
    const dead: TaskEvents['task:dead'][] = [];
    app.on('task:dead', (event) => dead.push(event));
    await app.worker().start();
    const expected = { map: 'result.summary.rates is a Map', bigint: 'result[0] is a bigint', getter: 'not loaded' };
    for (const [kind, text] of Object.entries(expected)) {
      const receipt = await app.tasks(Loans).recompute(kind);
      const error = await rejection(receipt.result());
      expect(error).to.have.property('message').that.contains(text);
      expect(error).to.have.deep.property('data', { id: receipt.id, type: 'PayloadError', code: 'PAYLOAD' });
      await eventually(() => expect(dead.at(-1)).to.include({ id: receipt.id, code: 'PAYLOAD' }));
      expect(await stage.record('Loans.recompute', `loan:${kind}`)).to.include({ phase: undefined });
    }
    expect(runs).to.equal(3);
  });

  it('keeps results neither of a message that asks for none, nor when they are off, whatever is returned', async () => {
    class Loans {
      @Task({ queue: stage.queue, name: 'loans.recompute' })
      async recompute() {
        return new Map();
      }
    }
    const app = stage.app([Loans], { results: true });
    const off = stage.app([Loans]);
    const succeeded = stage.count(app, 'task:succeeded');
    await app.worker().start();
    const head = { id: 'celery-1', task: 'loans.recompute', attempt: 1, lock: undefined, enqueuedAt: 0 };
    const rest = { priority: undefined, rootId: undefined, parentId: undefined, headers: {}, args: [], kwargs: {} };
    const frame = encode({ ...head, ...rest }, 'django');
    await stage.publish({ ...frame, headers: { ...frame.headers, ignore_result: true } });
    await eventually(() => expect(succeeded.total).to.equal(1));
    await app.close();

    const done = stage.count(off, 'task:succeeded');
    await off.worker().start();
    const receipt = await off.tasks(Loans).recompute();
    expect(await rejection(receipt.result())).to.have.property('code', 'RESULTS_DISABLED');
    await eventually(() => expect(done.total).to.equal(1));
  });

  it('stores a result before the key is free: whoever enqueues next finds the one of before', async () => {
    const holds: LockRecord[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', retry: 1 })
      async recompute(loanId: number) {
        if (loanId === 2) throw new Error('no such loan');
        return loanId;
      }
    }
    const backend = createMemoryResults({ clock: systemClock });
    const spy: ResultBackend = {
      address: 'memory:',
      connect: (timeout) => backend.connect(timeout),
      wait: (...wish) => backend.wait(...wish),
      close: () => backend.close(),
      store: async (...result) => {
        holds.push((await stage.record('Loans.recompute', `loan:${holds.length + 1}`)) as LockRecord);
        await backend.store(...result);
      },
    };
    const app = stage.app([Loans], { results: spy });
    await app.worker().start();
    expect(await (await app.tasks(Loans).recompute(1)).result()).to.equal(1);
    expect(await rejection((await app.tasks(Loans).recompute(2)).result())).to.have.property('code', 'TASK_FAILED');
    expect(holds.map(({ phase }) => phase)).to.deep.equal(['running', 'running']);
    // Failed for good: the dead letter is there, too.
    expect(await stage.dead()).to.have.length(1);
  });

  it('goes on without results when they cannot be kept: the task is done, and an event says so', async () => {
    let tries = 0;
    let closed = false;
    const broken: ResultBackend = {
      address: 'broken',
      connect: async () => {},
      wait: (_, signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined))),
      close: async () => void (closed = true),
      store: async () => {
        tries++;
        throw new ResultsUnavailableError('full');
      },
    };
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans], { results: broken });
    const lost: TaskEvents['result:lost'][] = [];
    const succeeded = stage.count(app, 'task:succeeded');
    app.on('result:lost', (event) => lost.push(event));
    await app.worker().start();
    const receipt = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(succeeded.total).to.equal(1));
    expect(tries).to.equal(3);
    expect(lost.map(({ id, error }) => [id, error.message])).to.deep.equal([[receipt.id, 'full']]);
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
    expect(await rejection(receipt.result({ timeout: 50 }))).to.have.property('code', 'RESULT_TIMEOUT');
    await app.close();
    expect(closed).to.equal(true);
  });

  it('says when there is none in time, at once when the app is closed, and that a timeout is no duration', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async recompute() {}
    }
    const app = stage.app([Loans], { results: true });
    const receipt: Receipt<null> = await app.tasks(Loans).recompute();
    expect(await rejection(receipt.result({ timeout: '60ms' }))).to.deep.include({
      code: 'RESULT_TIMEOUT',
      data: { id: receipt.id, timeout: 60, dropped: [] },
    });
    expect(await rejection(receipt.result({ timeout: 'soon' }))).to.have.property('code', 'CONFIG');
    const waiting = rejection(receipt.result());
    await app.close();
    expect(await waiting).to.have.property('code', 'CLOSED');
    expect(await rejection(receipt.result())).to.have.property('code', 'CLOSED');
  });
});
