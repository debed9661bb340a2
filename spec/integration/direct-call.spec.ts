import { expect } from 'chai';
import { DuplicateTaskError, KeyError, ShouldCompute, Task, taskContext, tasks, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('a plain call of a @ShouldCompute method', (stage) => {
  // W8
  it('runs the body under the lock when the key is free, and gives its value', async () => {
    const holders: unknown[] = [];
    class Reports {
      readonly #rate = 2;
      @ShouldCompute('report:<loanId>')
      @Task({ queue: stage.queue })
      async report(loanId: number) {
        const { id, task, key, attempt, fence, signal, redelivered } = taskContext();
        const { owner, phase, fence: held } = (await stage.record(task, 'report:21'))!;
        holders.push([owner, phase, held], [id, 'running', fence], [key, attempt, signal.aborted, redelivered]);
        return loanId * this.#rate;
      }
    }
    stage.app([Reports]);
    const id = await new Reports().report(21);
    expect(id).to.equal(42);
    expect(holders[0]).to.deep.equal(holders[1]);
    expect(holders[2]).to.deep.equal(['report:21', 1, false, false]);
    const { owner, done } = (await stage.record('Reports.report', 'report:21'))!;
    expect([owner, done?.id]).to.deep.equal([undefined, (holders[1] as unknown[])[0]]);
    expect(await stage.ready()).to.equal(0);
  });

  // W8
  it('gives undefined when a task has the key, waiting or running, and tells of it', async () => {
    const gate = new Gate();
    class Reports {
      @Task({ queue: stage.queue, unique: 'report:<loanId>' })
      @ShouldCompute
      async report(loanId: number) {
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Reports]);
    const dropped: TaskEvents['task:discarded'][] = [];
    app.on('task:discarded', (event) => dropped.push(event));
    const { id } = await app.tasks(Reports).report(1);
    await eventually(async () => expect((await stage.record('Reports.report', 'report:1'))?.phase).to.equal('queued'));
    expect(await new Reports().report(1)).to.equal(undefined);
    await app.worker().start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    expect(await new Reports().report(1)).to.equal(undefined);
    expect(dropped.map(({ holder, side, reason }) => [holder.id, side, reason])).to.deep.equal([
      [id, 'call', 'queued'],
      [id, 'call', 'running'],
    ]);
    expect(gate.arrivals).to.equal(1);
    gate.open();
    await eventually(async () => expect(await new Reports().report(1)).to.equal(1));
  });

  it('holds up a message and another call of the same key, and no other', async () => {
    const gate = new Gate();
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute('report:<loanId>')
      async report(loanId: number) {
        if (loanId === 1) await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Reports]);
    const dropped = stage.count(app, 'task:discarded');
    const service = new Reports();
    const first = service.report(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    expect(await Promise.all([service.report(1), service.report(2)])).to.deep.equal([undefined, 2]);
    await app.tasks(Reports).report(1);
    await app.worker().start();
    await eventually(() => expect(dropped.total).to.equal(2));
    gate.open();
    expect(await first).to.equal(1);
    expect(gate.arrivals).to.equal(1);
  });

  // W8
  it('lets the key go on a throw, and calls nothing done', async () => {
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute('report')
      async report(text: string) {
        if (text === 'bad') throw new RangeError('no such report');
        return text;
      }
    }
    stage.app([Reports]);
    const service = new Reports();
    const error: unknown = await service.report('bad').catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(RangeError).with.property('message', 'no such report');
    const { owner, done } = (await stage.record('Reports.report', 'report'))!;
    expect([owner, done]).to.deep.equal([undefined, undefined]);
    expect(await service.report('good')).to.equal('good');
  });

  it('throws under reject, with the holder’s id', async () => {
    class Reports {
      @Task({ queue: stage.queue, unique: 'report' })
      @ShouldCompute({ onDuplicate: 'reject' })
      async report() {
        return 'done';
      }
    }
    const app = stage.app([Reports]);
    const { id } = await app.tasks(Reports).report();
    const error: unknown = await new Reports().report().catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(DuplicateTaskError).with.nested.property('data.holder', id);
  });

  it('waits for its turn under requeue', async () => {
    const gate = new Gate();
    const ran: string[] = [];
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute({ key: 'report', onDuplicate: 'requeue' })
      async report(text: string) {
        ran.push(`${text} begins`);
        if (text === 'first') await gate.pass();
        ran.push(`${text} ends`);
        return text;
      }
    }
    stage.app([Reports]);
    const service = new Reports();
    const first = service.report('first');
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const second = service.report('second');
    setTimeout(() => gate.open(), 100);
    expect(await Promise.all([first, second])).to.deep.equal(['first', 'second']);
    expect(ran).to.deep.equal(['first begins', 'first ends', 'second begins', 'second ends']);
  });

  it('keeps its key for as long as the body runs', async () => {
    const gate = new Gate();
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute({ key: 'report', lease: 300 })
      async report() {
        await gate.pass();
        return taskContext().signal.aborted;
      }
    }
    stage.app([Reports]);
    const service = new Reports();
    const first = service.report();
    setTimeout(() => gate.open(), 1_000);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const begin = (await stage.record('Reports.report', 'report'))!.deadline;
    await eventually(async () =>
      expect((await stage.record('Reports.report', 'report'))!.deadline).to.be.above(begin + 300),
    );
    expect(await service.report()).to.equal(undefined);
    expect(await first).to.equal(false);
  });

  it('inside a run takes a lock of its own, unless it is the run itself', async () => {
    const ran: unknown[] = [];
    class Base {
      @Task({ queue: stage.queue })
      @ShouldCompute('report:<loanId>')
      async report(loanId: number): Promise<unknown> {
        ran.push(`base ${loanId}`);
        return taskContext().key;
      }
    }
    class Reports extends Base {
      @Task({ queue: stage.queue })
      @ShouldCompute('report:<loanId>')
      override async report(loanId: number): Promise<unknown> {
        if (loanId > 1) return taskContext().key;
        ran.push(await super.report(loanId), await this.report(1), await this.report(2), taskContext().key);
        return 'ran';
      }
    }
    const app = stage.app([Reports]);
    const ended = stage.count(app, 'task:succeeded');
    expect(await new Reports().report(1)).to.equal('ran');
    const inCall = ran.splice(0);
    expect(inCall).to.deep.equal(['base 1', 'report:1', undefined, 'report:2', 'report:1']);
    await app.tasks(Reports).report(1);
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(1));
    expect(ran).to.deep.equal(inCall);
  });

  it('takes its own lock again when a run has left it behind', async () => {
    const ran: number[] = [];
    const gate = new Gate();
    let later: Promise<unknown> | undefined;
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute('report')
      async report(n: number): Promise<number> {
        ran.push(n);
        return n;
      }
    }
    class Cached extends Reports {
      override async report(n: number): Promise<number> {
        later = gate.pass().then(() => super.report(n + 1));
        return 0;
      }
    }
    const app = stage.app([Cached]);
    const { id } = await app.tasks(Cached).report(1);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(1));
    expect((await stage.record('Cached.report', 'report'))?.done?.id).to.equal(id);
    gate.open();
    expect(await later).to.equal(2);
    expect((await stage.record('Cached.report', 'report'))?.done?.id).not.to.equal(id);
    expect(ran).to.deep.equal([2]);
  });

  it('enqueues nothing, and takes the app of its run for what it enqueues itself', async () => {
    class Audit {
      @Task({ queue: stage.queue })
      async note(_text: string) {}
    }
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute('report')
      async report() {
        return (await tasks(Audit).note('x')).status;
      }
    }
    stage.app([Reports, Audit]);
    stage.app([Audit]);
    expect(await new Reports().report()).to.equal('enqueued');
    await eventually(async () => expect(await stage.ready()).to.equal(1));
  });

  it('is ended properly by the close of its app', async () => {
    const gate = new Gate();
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute({ key: 'report', onDuplicate: 'requeue' })
      async report() {
        await gate.pass();
        return 'ended';
      }
    }
    const app = stage.app([Reports]);
    const service = new Reports();
    const first = service.report();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const second = service.report().catch((error: { code: string }) => error.code);
    const closed = app.close();
    expect(await second).to.equal('CLOSED');
    gate.open();
    expect(await first).to.equal('ended');
    await closed;
    expect((await stage.record('Reports.report', 'report'))?.owner).to.equal(undefined);
  });

  it('without a key for its arguments is refused as an enqueue is', async () => {
    let ran = 0;
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute('report:<loanId>')
      async report(_: string, loanId: number | null) {
        ran++;
        return loanId;
      }
    }
    stage.app([Reports]);
    const error: unknown = await new Reports().report('', null).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(KeyError);
    expect(ran).to.equal(0);
  });
});
