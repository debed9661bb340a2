import { expect } from 'chai';
import { ShouldCompute, Task, taskContext } from 'solotask';
import { COALESCE, firstRuns, gatedLoans, nothingIsLeft } from '../support/coalesce.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

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
        return rate;
      }
    }
    const app = stage.app([Loans], { results: true });
    const coalesced = stage.count(app, 'task:coalesced');
    const ended = stage.count(app, 'task:succeeded');
    await app.worker({ concurrency: 1, prefetch: 1 }).start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const receipts = [];
    for (const rate of [2, 3, 4]) receipts.push(await app.tasks(Loans).recompute(1, rate));
    expect(receipts.map(({ status }) => status)).to.deep.equal(Array(3).fill('enqueued'));
    const other = stage.app([Loans], { results: true });
    const handed = stage.count(other, 'task:coalesced');
    await other.worker({ concurrency: 1 }).start();
    await eventually(() => expect(handed.total).to.equal(3));
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(rates).to.deep.equal([1, 4]);
    expect(coalesced.total).to.equal(0);
    expect(await Promise.all(receipts.map((receipt) => receipt.result()))).to.deep.equal([4, 4, 4]);
  });

  it('lets a message wait its turn when nobody can say whose arguments are newer', async () => {
    const { Loans, gate, rates } = gatedLoans(stage, { unique: { ...COALESCE, lease: 1_000 } });
    let published = 0;
    const app = stage.app([Loans], { onPublish: () => void published++ });
    const ended = stage.count(app, 'task:succeeded');
    const dropped = stage.count(app, 'task:coalesced', 'task:discarded');
    await firstRuns(app, { Loans, gate });
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
    await firstRuns(app, { Loans, gate });
    await app.tasks(Loans).recompute(1, 2);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    await nothingIsLeft(stage);
    expect(runs).to.deep.equal(['1 (0)', '2 (0)']);
  });

  it('hands a key over when its worker stops between two runs', async () => {
    const { Loans, gate, rates } = gatedLoans(stage);
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
