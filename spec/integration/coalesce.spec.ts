import { expect } from 'chai';
import { Task, taskContext, tasks, type TaskEvents } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { COALESCE, firstRuns, gatedLoans, nothingIsLeft } from '../support/coalesce.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

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
    const first = await firstRuns(app, { Loans, gate });
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
    const { Loans, gate, rates } = gatedLoans(stage);
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await firstRuns(app, { Loans, gate });
    for (const rate of [2, 3, 4]) await app.tasks(Loans).recompute(1, rate);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 4]);
  });

  // R3
  it('runs once with the newest arguments when nobody had begun', async () => {
    const { Loans, gate, rates } = gatedLoans(stage);
    gate.open();
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
    const { Loans, gate, rates } = gatedLoans(stage);
    gate.open();
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
    const { Loans, gate, rates } = gatedLoans(stage);
    gate.open();
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

  it('gives each caller the result of a run with his arguments, or with newer ones', async () => {
    const gates = [new Gate(), new Gate()];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        await gates[taskContext().rerun]!.pass();
        return { loanId, rate };
      }
    }
    const app = stage.app([Loans], { results: true });
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gates[0]!.arrivals).to.equal(1));
    const second = await app.tasks(Loans).recompute(1, 2);
    const third = await app.tasks(Loans).recompute(1, 3);
    gates[0]!.open();
    expect(await first.result()).to.deep.equal({ loanId: 1, rate: 1 });
    const later = Promise.all([second.result(), third.result()]);
    // The result of the first run is kept by now, under the very id that these wait for.
    await eventually(() => expect([ended.total, gates[1]!.arrivals]).to.deep.equal([1, 1]));
    gates[1]!.open();
    expect(await later).to.deep.equal(Array(2).fill({ loanId: 1, rate: 3 }));
    await nothingIsLeft(stage);
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

  // R10
  it('moves a key to a fresh delivery after five minutes on one', async () => {
    const runs: string[] = [];
    let jumped = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      async recompute(loanId: number, rate: number) {
        runs.push(`${rate} (${taskContext().rerun})`);
        if (rate < 3) await tasks(Loans).recompute(loanId, rate + 1);
        if (rate === 2) jumped += 300_001;
      }
    }
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + jumped };
    const app = stage.app([Loans], { clock });
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(ended.total).to.equal(3));
    await nothingIsLeft(stage);
    expect(runs).to.deep.equal(['1 (0)', '2 (1)', '3 (0)']);
  });
});
