import { expect } from 'chai';
import { ShouldCompute, Task, taskContext, type App, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage, type Stage } from '../support/stage.js';

/** Turns come by the broker's delays, the shortest of which is a second. */
const PATIENCE = { timeout: 20_000 };

function seen<E extends 'task:dead' | 'lock:waiting'>(app: App, event: E): TaskEvents[E][] {
  const events: TaskEvents[E][] = [];
  app.on(event, (payload) => void events.push(payload as TaskEvents[E]));
  return events;
}

async function holderOf(stage: Stage, task: string, key: string): Promise<string | undefined> {
  return (await stage.record(task, key))?.owner;
}

onEveryStage('a duplicate on the worker', (stage) => {
  // W3
  it('waits for its turn under requeue, and holds up no other key', async () => {
    const gate = new Gate();
    const ran: string[] = [];
    let running = 0;
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute({ key: 'report:<loanId>', onDuplicate: 'requeue' })
      async report(loanId: number, text: string) {
        if (loanId === 1) expect(++running, 'two bodies of one key').to.equal(1);
        if (text === 'first') await gate.pass();
        ran.push(text);
        if (loanId === 1) running--;
      }
    }
    const app = stage.app([Reports]);
    const other = stage.app([Reports]);
    const waiting = seen(other, 'lock:waiting');
    const dropped = [app, other].map((one) => stage.count(one, 'task:discarded', 'task:dead', 'task:failed'));
    const first = await app.tasks(Reports).report(1, 'first');
    await app.worker({ concurrency: 1, prefetch: 1 }).start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await other.worker({ concurrency: 1, prefetch: 1 }).start();
    const receipts = [await app.tasks(Reports).report(1, 'second'), await app.tasks(Reports).report(2, 'other key')];
    expect(receipts.map(({ status }) => status)).to.deep.equal(['enqueued', 'enqueued']);
    await eventually(() => expect(ran).to.deep.equal(['other key']));
    expect(waiting[0]).to.include({ id: receipts[0]?.id, key: 'report:1' });
    expect(await holderOf(stage, 'Reports.report', 'report:1')).to.equal(first.id);
    gate.open();
    await eventually(() => expect(ran).to.deep.equal(['other key', 'first', 'second']), PATIENCE);
    expect(dropped.map(({ total }) => total)).to.deep.equal([0, 0]);
  }).timeout(30_000);

  // W3
  it('waits for its turn under requeue while the holder waits for a retry', async () => {
    const ran: string[] = [];
    class Reports {
      @Task({ queue: stage.queue, retry: { attempts: 2, delay: 2_500, jitter: false } })
      @ShouldCompute({ key: 'report', onDuplicate: 'requeue' })
      async report(text: string) {
        const { attempt } = taskContext();
        ran.push(`${text} ${attempt}`);
        if (text === 'first' && attempt === 1) throw new Error('not yet');
      }
    }
    const app = stage.app([Reports]);
    const retried = stage.count(app, 'task:retried');
    await app.worker().start();
    await app.tasks(Reports).report('first');
    await eventually(() => expect(retried.total).to.equal(1));
    await app.tasks(Reports).report('second');
    await eventually(() => expect(ran).to.deep.equal(['first 1', 'first 2', 'second 1']), PATIENCE);
  }).timeout(30_000);

  it('goes to the dead letters under reject, with the holder’s id, and leaves the holder alone', async () => {
    const gate = new Gate();
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute({ key: 'report', onDuplicate: 'reject' })
      async report() {
        await gate.pass();
      }
    }
    const app = stage.app([Reports]);
    const dead = seen(app, 'task:dead');
    const ended = stage.count(app, 'task:succeeded');
    const first = await app.tasks(Reports).report();
    await app.worker().start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const second = await app.tasks(Reports).report();
    await eventually(() => expect(dead).to.have.length(1));
    expect(dead[0]).to.include({ id: second.id, key: 'report', code: 'DUPLICATE' });
    expect(dead[0]?.error).to.have.nested.property('data.holder', first.id);
    const [letter] = await stage.dead();
    expect(letter?.headers).to.include({ id: second.id, dead_code: 'DUPLICATE' });
    expect(letter?.headers['dead_reason']).to.contain(first.id).and.to.contain('running');
    expect(await holderOf(stage, 'Reports.report', 'report')).to.equal(first.id);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    await app.tasks(Reports).report();
    await eventually(() => expect(ended.total).to.equal(2));
    expect(dead).to.have.length(1);
  });

  it('waits for its turn where @Task rejects: its caller was told that it was enqueued', async () => {
    const gate = new Gate();
    const ran: string[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan', onDuplicate: 'reject', ttl: 100 } })
      async recompute(text: string) {
        if (text === 'late') await gate.pass();
        ran.push(text);
      }
    }
    const app = stage.app([Loans]);
    const lost = stage.count(app, 'task:dead', 'task:discarded');
    const waiting = seen(app, 'lock:waiting');
    await app.tasks(Loans).recompute('late');
    await eventually(async () => {
      const record = await stage.record('Loans.recompute', 'loan');
      expect(record).to.have.property('phase', 'queued');
      expect(record?.deadline).to.be.below(Date.now());
    });
    await app.tasks(Loans).recompute('on time');
    await app.worker().start();
    await eventually(() => expect(waiting.length + ran.length).to.be.above(0));
    gate.open();
    await eventually(
      () => expect(ran.toSorted((a, b) => a.localeCompare(b))).to.deep.equal(['late', 'on time']),
      PATIENCE,
    );
    expect(lost.total).to.equal(0);
  }).timeout(30_000);
});
