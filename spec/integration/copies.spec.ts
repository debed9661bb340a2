import { expect } from 'chai';
import { Task, taskContext, type Frame } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('two copies of one message', (stage) => {
  const copy = (value: string): Frame => ({
    properties: { contentType: 'application/json' },
    headers: {
      task: 'Loans.recompute',
      id: 'twice',
      lock_key: 'loan:1',
      lock_mode: 'enqueue',
      lock_fence: '17',
      copy: value,
    },
    body: Buffer.from('[[1], {}, {}]'),
  });

  // D7: the link is cut before the confirm, so the producer publishes again what the broker had taken
  it('that arrive unflagged, one while the other runs, give one run that nobody aborts', async () => {
    const gate = new Gate();
    let aborted = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', lease: '1s' } })
      async recompute(loanId: number) {
        taskContext().signal.addEventListener('abort', () => aborted++);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const waiting = stage.count(app, 'lock:waiting');
    const ended: boolean[] = [];
    app.on('task:succeeded', ({ recovered }) => ended.push(recovered));
    await app.worker().start();
    await stage.publish(copy('one'));
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await stage.publish(copy('two'));
    await eventually(async () => expect(await stage.ready()).to.equal(0));
    // Longer than a lease: a second copy that stopped the first would have its key by now.
    const long = Date.now() + 2_500;
    await eventually(() => expect(Date.now()).to.be.above(long));
    expect(gate.arrivals).to.equal(1);
    gate.open();
    await eventually(() => expect(ended).to.have.members([false, true]), { timeout: 10_000 });
    expect(gate.arrivals).to.equal(1);
    expect(aborted).to.equal(0);
    expect(waiting.total).to.equal(0);
  });

  it('of which the second arrives after the run are found done', async () => {
    let bodies = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        bodies++;
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended: boolean[] = [];
    app.on('task:succeeded', ({ recovered }) => ended.push(recovered));
    await app.worker().start();
    await stage.publish(copy('one'));
    await eventually(() => expect(ended).to.deep.equal([false]));
    await stage.publish(copy('two'));
    await eventually(() => expect(ended).to.deep.equal([false, true]));
    expect(bodies).to.equal(1);
  });
});
