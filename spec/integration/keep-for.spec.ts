import { expect } from 'chai';
import { RejectTask, ShouldCompute, Task, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('keepFor', (stage) => {
  it('drops newcomers for good after a good run', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', keepFor: '1m' } })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const events: TaskEvents['task:discarded'][] = [];
    app.on('task:discarded', (event) => events.push(event));
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(ended.total).to.equal(1));
    const dropped = await app.tasks(Loans).recompute(1);
    expect(dropped).to.include({ status: 'discarded', id: first.id });
    expect(dropped.holder).to.deep.equal({ id: first.id, phase: 'kept' });
    expect(events).to.have.length(1);
    expect(events[0]).to.deep.include({ side: 'enqueue', reason: 'kept', holder: dropped.holder });
    expect(await app.tasks(Loans).recompute(2)).to.include({ status: 'enqueued' });
  });

  it('accepts newcomers again afterwards', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', keepFor: 200 } })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(ended.total).to.equal(1));
    await eventually(async () => expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' }));
    await eventually(() => expect(ended.total).to.equal(2));
  });

  it('drops messages of the key on the worker, too', async () => {
    let runs = 0;
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue })
      @ShouldCompute({ key: 'loan:<loanId>', keepFor: '1m' })
      async recompute(loanId: number) {
        runs++;
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const events: TaskEvents['task:discarded'][] = [];
    app.on('task:discarded', (event) => events.push(event));
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    const second = await app.tasks(Loans).recompute(1);
    expect(second).to.include({ status: 'enqueued' });
    await eventually(() => expect(events).to.have.length(1));
    expect(events[0]).to.deep.include({
      id: second.id,
      side: 'worker',
      reason: 'kept',
      holder: { id: first.id, phase: 'kept' },
    });
    expect(await stage.ready()).to.equal(0);
    expect(runs).to.equal(1);
  });

  it('holds for both sides of a task with both decorators', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', keepFor: '1m' } })
      @ShouldCompute()
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(ended.total).to.equal(1));
    expect((await app.tasks(Loans).recompute(1)).holder?.phase).to.equal('kept');
  });

  it('keeps no key of a run that ended in the dead letters', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', keepFor: '1m' } })
      async recompute(loanId: number) {
        throw new RejectTask(`no loan ${loanId}`);
      }
    }
    const app = stage.app([Loans]);
    const dead = stage.count(app, 'task:dead');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(dead.total).to.equal(1));
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
  });
});
