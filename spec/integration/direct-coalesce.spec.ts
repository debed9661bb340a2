import { expect } from 'chai';
import { PayloadError, ShouldCompute, Task, taskContext, type App, type TaskEvents } from 'solotask';
import { COALESCE, nothingIsLeft } from '../support/coalesce.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('a plain call under coalesce', (stage) => {
  /** A service, its app, and what its body ran with; the first run waits at the gate. */
  function service(options: { fails?: (rate: number) => boolean; attempts?: number } = {}) {
    const { fails = () => false, attempts = 3 } = options;
    const gate = new Gate();
    const runs: string[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE, retry: { attempts, delay: 1 } })
      @ShouldCompute
      async recompute(loanId: number, rate: number) {
        runs.push(`${rate} (${taskContext().rerun})`);
        if (runs.length === 1) await gate.pass();
        if (fails(rate)) throw new RangeError(`no rate ${rate}`);
        return rate;
      }
    }
    const app = stage.app([Loans]);
    return { app, gate, runs, Loans, loans: new Loans(), tasks: app.tasks(Loans) };
  }

  const workTo = async (app: App, events: number): Promise<void> => {
    const ended = stage.count(app, 'task:succeeded', 'task:dead');
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(events));
  };

  it('runs with its own arguments when the key is free, and leaves nothing', async () => {
    const { gate, loans, runs } = service();
    gate.open();
    expect([await loans.recompute(1, 1), await loans.recompute(1, 2)]).to.deep.equal([1, 2]);
    expect(runs).to.deep.equal(['1 (0)', '2 (0)']);
    await nothingIsLeft(stage);
    expect((await stage.record('Loans.recompute', 'loan:1'))?.done?.seq).to.be.above(0);
  });

  it('hands its arguments to a task that waits, and gives undefined', async () => {
    const { app, gate, loans, tasks, runs } = service();
    const coalesced: TaskEvents['task:coalesced'][] = [];
    app.on('task:coalesced', (event) => coalesced.push(event));
    const { id } = await tasks.recompute(1, 1);
    await eventually(async () => expect((await stage.record('Loans.recompute', 'loan:1'))?.phase).to.equal('queued'));
    expect(await loans.recompute(1, 2)).to.equal(undefined);
    expect(coalesced.map(({ holder, side }) => [holder, side])).to.deep.equal([[{ id, phase: 'queued' }, 'call']]);
    gate.open();
    await workTo(app, 1);
    expect(runs).to.deep.equal(['2 (0)']);
    await nothingIsLeft(stage);
  });

  it('marks a task that runs: it runs once more, with the newest arguments, however many came', async () => {
    const { app, gate, loans, tasks, runs } = service();
    const working = workTo(app, 2);
    await tasks.recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    for (const rate of [2, 3, 4]) expect(await loans.recompute(1, rate)).to.equal(undefined);
    gate.open();
    await working;
    expect(runs).to.deep.equal(['1 (0)', '4 (1)']);
    await nothingIsLeft(stage);
  });

  it('runs again itself for what came meanwhile, enqueued or called, and gives the value of its own run', async () => {
    const { gate, loans, tasks, runs } = service();
    const call = loans.recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const receipt = await tasks.recompute(1, 2);
    expect([receipt.status, receipt.holder?.phase]).to.deep.equal(['coalesced', 'running']);
    expect(await loans.recompute(1, 3)).to.equal(undefined);
    gate.open();
    expect(await call).to.equal(1);
    expect(runs).to.deep.equal(['1 (0)', '3 (1)']);
    await nothingIsLeft(stage);
  });

  it('runs again after its own failure too, and then throws it', async () => {
    const { gate, loans, tasks, runs } = service({ fails: (rate) => rate === 1 });
    const call = loans.recompute(1, 1).catch((error: unknown) => error);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    expect(await tasks.recompute(1, 2)).to.include({ status: 'coalesced' });
    gate.open();
    expect(await call)
      .to.be.instanceOf(RangeError)
      .with.property('message', 'no rate 1');
    expect(runs).to.deep.equal(['1 (0)', '2 (1)']);
    await nothingIsLeft(stage);
  });

  it('gives what fails with the arguments of others to a worker, with all its attempts', async () => {
    const { app, gate, loans, tasks, runs } = service({ fails: (rate) => rate === 2, attempts: 2 });
    const call = loans.recompute(1, 1);
    const failed = stage.count(app, 'task:failed');
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await tasks.recompute(1, 2);
    gate.open();
    expect(await call).to.equal(1);
    expect(failed.total).to.equal(1);
    expect((await stage.record('Loans.recompute', 'loan:1'))?.phase).to.equal('queued');
    await workTo(app, 1);
    expect(runs).to.deep.equal(['1 (0)', '2 (1)', '2 (0)', '2 (0)']);
    expect((await stage.dead())[0]?.headers).to.include({ dead_reason: 'no rate 2', attempt: 2 });
  });

  /** A service whose body enqueues the next rate up to `last`, so that its key stays hot. */
  function hot(last: number) {
    const rates: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: COALESCE })
      @ShouldCompute
      async recompute(loanId: number, rate: number): Promise<number> {
        rates.push(rate);
        if (rate < last) expect(await app.tasks(Loans).recompute(loanId, rate + 1)).to.include({ status: 'coalesced' });
        return rate;
      }
    }
    const app = stage.app([Loans]);
    return { app, loans: new Loans(), rates };
  }

  const upTo = (last: number): number[] => Array.from({ length: last }, (_, i) => i + 1);

  it('goes on as a message when the key stays hot, so that the caller gets its value', async () => {
    const { app, loans, rates } = hot(20);
    const enqueued = stage.count(app, 'task:enqueued');
    expect(await loans.recompute(1, 1)).to.equal(1);
    expect(rates).to.deep.equal(upTo(11));
    expect(enqueued.total).to.equal(1);
    await app.worker().start();
    await eventually(() => expect(rates.at(-1)).to.equal(20));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal(upTo(20));
  });

  it('goes on itself as long as no queue takes the message', async () => {
    const { app, loans, rates } = hot(12);
    const failed = stage.count(app, 'publish:failed');
    await app.connect();
    await stage.removeQueue();
    const value = await loans.recompute(1, 1);
    await stage.restoreQueue();
    expect([value, rates, failed.total]).to.deep.equal([1, upTo(12), 1]);
    await nothingIsLeft(stage);
  });

  it('goes on as a message when its app closes', async () => {
    const { app, gate, loans, runs } = service();
    const other = service();
    const call = loans.recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    expect(await other.tasks.recompute(1, 2)).to.include({ status: 'coalesced' });
    const closing = app.close();
    gate.open();
    expect(await call).to.equal(1);
    await closing;
    expect(runs).to.deep.equal(['1 (0)']);
    other.gate.open();
    await workTo(other.app, 1);
    expect(other.runs).to.deep.equal(['2 (0)']);
    await nothingIsLeft(stage);
  });

  it('takes no arguments that a key cannot keep', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      @ShouldCompute(COALESCE)
      async recompute(loanId: number, text: string) {
        return text.length + loanId;
      }
    }
    stage.app([Loans]);
    const thrown: unknown = await new Loans().recompute(1, 'x'.repeat(20_000)).catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(PayloadError);
  });
});
