import { expect } from 'chai';
import { Task, taskContext } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

async function awhile(ms: number): Promise<void> {
  const end = Date.now() + ms;
  await eventually(() => expect(Date.now()).to.be.above(end), { timeout: ms + 1_000 });
}

onEveryStage("a task with onConnectionLoss: 'finish'", (stage) => {
  it('goes on when its delivery is lost; the redelivery leaves it alone, and finds it done', async () => {
    const gate = new Gate();
    let aborted = 0;
    class Loans {
      @Task({ queue: stage.queue, onConnectionLoss: 'finish', unique: { key: 'loan:<loanId>', lease: '1s' } })
      async recompute(loanId: number) {
        taskContext().signal.addEventListener('abort', () => aborted++);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const recovered: boolean[] = [];
    app.on('task:succeeded', (event) => recovered.push(event.recovered));
    const lost = stage.count(app, 'lock:lost');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await stage.dropConnections();
    // Longer than a lease: a redelivery that stopped the run would have its key by now.
    await awhile(2_500);
    gate.open();
    await eventually(() => expect(recovered).to.deep.equal([false, true]), { timeout: 25_000 });
    expect({ bodies: gate.arrivals, aborted, lost: lost.total }).to.deep.equal({ bodies: 1, aborted: 0, lost: 0 });
  }).timeout(40_000);

  it('without a key goes on as well: its record is under its own id', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, onConnectionLoss: 'finish' })
      async recompute(loanId: number) {
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const failed = stage.count(app, 'task:failed', 'lock:lost');
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await stage.dropConnections();
    await awhile(2_500);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    expect({ bodies: gate.arrivals, failed: failed.total }).to.deep.equal({ bodies: 1, failed: 0 });
  }).timeout(40_000);

  it('that fails after its delivery was lost leaves the next attempt to the redelivery', async () => {
    const gate = new Gate();
    const attempts: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', lease: '1s' }, onConnectionLoss: 'finish' })
      async recompute(loanId: number) {
        attempts.push(taskContext().attempt);
        await gate.pass();
        if (attempts.length === 1) throw new Error('no luck');
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    const retried = stage.count(app, 'task:retried');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const lost = stage.count(app, 'broker:disconnected');
    await stage.dropConnections();
    await eventually(() => expect(lost.total).to.equal(2));
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1), { timeout: 25_000 });
    expect(attempts).to.deep.equal([1, 1]);
    expect(retried.total).to.equal(0);
  }).timeout(40_000);
});
