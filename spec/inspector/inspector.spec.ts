import { expect } from 'chai';
import { ConfigError, Key, ShouldCompute, Task, type DeadLetterEnd, type Frame } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';
import { frameOf } from '../support/transports.js';

onEveryStage('the inspector of an app', (stage) => {
  const ids = (frames: readonly Frame[]): unknown[] => frames.map(({ headers }) => headers['id']);

  /** An app whose task fails while `broken`, and the dead letters that it left. */
  async function withDead(...loans: number[]) {
    const state = { broken: true, runs: [] as number[] };
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<id>', retry: false })
      async recompute(@Key('id') id: number): Promise<void> {
        if (state.broken) throw new RangeError(`loan ${id} is broken`);
        state.runs.push(id);
      }
    }
    const app = stage.app([Loans]);
    const inspector = await app.inspector();
    const work = async (total: number): Promise<void> => {
      const count = stage.count(app, 'task:dead', 'task:succeeded');
      const worker = app.worker();
      await worker.start();
      await eventually(() => expect(count.total).to.equal(total));
      await worker.stop();
    };
    const receipts = [];
    for (const id of loans) receipts.push(await app.tasks(Loans).recompute(id));
    if (loans.length > 0) await work(loans.length);
    const ends: DeadLetterEnd[] = [];
    const tell = (end: DeadLetterEnd): void => void ends.push(end);
    const queues = [stage.queue];
    /** Dead letters that were looked at are back a moment later. */
    const left = (total: number) =>
      eventually(async () => expect((await inspector.dead.list(queues, 0)).total).to.equal(total));
    return { app, Loans, state, inspector, work, receipts, ends, tell, queues, left };
  }

  it('lists dead letters with their reasons and leaves them there', async () => {
    const { inspector, receipts, queues, left } = await withDead(1, 2, 3);
    const { letters, total } = await inspector.dead.list(queues, 2);
    expect([letters.length, total]).to.deep.equal([2, 3]);
    const found = await inspector.dead.show(queues, receipts[2]?.id.slice(0, 8) ?? '');
    expect(found).to.include({ id: receipts[2]?.id, task: 'Loans.recompute', key: 'loan:3', queue: stage.queue });
    expect(found).to.include({ code: 'FAILED', reason: 'loan 3 is broken', attempt: 1 });
    expect(found.args).to.deep.equal([3]);
    expect(found.stack).to.match(/^RangeError: loan 3 is broken\n\s+at /);
    expect(Date.now() - (found.at ?? 0)).to.be.within(0, 60_000);
    await left(3);
    expect(ids(await stage.dead())).to.have.members(receipts.map(({ id }) => id));
  });

  it('retries a dead letter under a new id, which has the key while it waits, and takes the old one away', async () => {
    const { app, Loans, state, inspector, work, receipts, ends, tell, queues, left } = await withDead(1, 2);
    await inspector.dead.retry(queues, [receipts[0]?.id ?? ''], tell);
    const [end] = ends;
    if (end?.end !== 'retried') expect.fail(JSON.stringify(ends));
    expect(ends).to.have.length(1);
    expect(end.id).to.not.equal(receipts[0]?.id);
    expect(await stage.record('Loans.recompute', 'loan:1')).to.include({ owner: end.id, phase: 'queued' });
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'discarded', id: end.id });
    expect(await stage.ready()).to.equal(1);
    state.broken = false;
    await work(1);
    expect(state.runs).to.deep.equal([1]);
    await left(1);
    expect(ids(await stage.dead())).to.deep.equal([receipts[1]?.id]);
  });

  it('gives what it retries the old id as parent, the first attempt, and none of its former end', async () => {
    const { inspector, receipts, ends, tell, queues, left } = await withDead(1);
    await inspector.dead.retry(queues, 'all', tell);
    expect(ends).to.have.length(1);
    const again = await withDead();
    await again.work(1);
    const [letter] = (await again.inspector.dead.list(queues, 1)).letters;
    expect(letter).to.include({ parentId: receipts[0]?.id, attempt: 1, reason: 'loan 1 is broken' });
    await left(1);
    const [frame] = await stage.dead();
    expect(frame?.headers).to.include({ root_id: receipts[0]?.id });
  });

  it('does nothing at all where a beginning of an id fits several, or an id fits none', async () => {
    const { inspector, receipts, ends, tell, queues, left } = await withDead(1, 2);
    for (const which of [[''], [receipts[0]?.id ?? '', 'nobody']]) {
      const refused = await inspector.dead.retry(queues, which, tell).catch((error: unknown) => error);
      expect(refused).to.be.instanceOf(ConfigError);
    }
    expect([ends, await stage.ready()]).to.deep.equal([[], 0]);
    await left(2);
  });

  it('keeps a dead letter whose key another task has', async () => {
    const { app, Loans, inspector, receipts, ends, tell, queues, left } = await withDead(1);
    const { id } = await app.tasks(Loans).recompute(1);
    await inspector.dead.retry(queues, 'all', tell);
    expect(ends[0]).to.deep.include({ end: 'held', holder: { id, phase: 'queued' } });
    expect(await stage.ready()).to.equal(1);
    await left(1);
    expect(ids(await stage.dead())).to.deep.equal([receipts[0]?.id]);
  });

  it('keeps what it cannot publish, and frees its key', async () => {
    const { inspector, ends, tell, queues, left } = await withDead(1);
    await stage.removeQueue();
    await inspector.dead.retry(queues, 'all', tell);
    expect(ends[0]).to.have.property('end', 'failed');
    await stage.restoreQueue();
    expect((await stage.record('Loans.recompute', 'loan:1'))?.owner).to.equal(undefined);
    await left(1);
    expect(await stage.dead()).to.have.length(1);
  });

  it('drops only what was named, and what is no task message as well', async () => {
    const { inspector, work, receipts, ends, tell, queues, left } = await withDead(1, 2);
    const { headers, ...rest } = frameOf();
    await stage.publish({ ...rest, headers: { lang: 'js' } });
    await work(1);
    await inspector.dead.drop(queues, [receipts[1]?.id ?? ''], tell);
    expect(ends.map(({ end, letter }) => [end, letter.id])).to.deep.equal([['dropped', receipts[1]?.id]]);
    await left(2);
    await inspector.dead.retry(queues, 'all', tell);
    expect(ends.map(({ end }) => end)).to.have.members(['dropped', 'retried', 'unreadable']);
    await left(1);
    await inspector.dead.drop(queues, 'all', tell);
    expect(await stage.dead()).to.deep.equal([]);
    expect(headers).to.have.property('task');
  });

  it('purges a queue and frees the keys of its messages, so that the next enqueue is accepted', async () => {
    const { app, Loans, inspector } = await withDead();
    for (const id of [1, 2, 3]) await app.tasks(Loans).recompute(id);
    await stage.publish(frameOf({ task: 'nobody.knows' }));
    await stage.publish({ ...frameOf({ task: 'Loans.recompute' }), body: Buffer.from('no JSON') });
    let told = 0;
    const count = await inspector.purge(stage.queue, () => void told++);
    expect(count).to.deep.equal({ dropped: 5, unreadable: 1, left: 0 });
    expect([told, await stage.ready()]).to.deep.equal([5, 0]);
    expect((await stage.record('Loans.recompute', 'loan:2'))?.owner).to.equal(undefined);
    expect(await app.tasks(Loans).recompute(2)).to.have.property('status', 'enqueued');
  });

  it('purges a duplicate without touching the key that another runs under', async () => {
    const gate = new Gate();
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute('report:<id>')
      async report(@Key('id') _id: number): Promise<void> {
        await gate.pass();
      }
    }
    const app = stage.app([Reports]);
    const started = stage.count(app, 'task:started');
    const worker = app.worker();
    await worker.start();
    const { id } = await app.tasks(Reports).report(1);
    await eventually(() => expect(started.total).to.equal(1));
    await worker.quiet();
    await app.tasks(Reports).report(1);
    const inspector = await app.inspector();
    expect(await inspector.purge(stage.queue)).to.include({ dropped: 1, left: 0 });
    expect(await stage.record('Reports.report', 'report:1')).to.include({ owner: id, phase: 'running' });
    gate.open();
    await worker.stop();
  });

  it('shows who holds which key, since when and for how long', async () => {
    const { app, Loans, inspector, receipts } = await withDead();
    for (const id of [1, 2]) receipts.push(await app.tasks(Loans).recompute(id));
    await eventually(async () => {
      const lock = await inspector.locks.show('Loans.recompute loan:2');
      expect(lock).to.include({ task: 'Loans.recompute', key: 'loan:2', phase: 'queued', owner: receipts[1]?.id });
      expect(lock?.left).to.be.within(500_000, 600_000);
      expect(Date.now() - (lock?.since ?? 0)).to.be.within(-1_000, 60_000);
    });
    expect(await inspector.locks.show('Loans.recompute loan:9')).to.equal(undefined);
  });

  it('takes a key from exactly the holder that was seen', async () => {
    const { app, Loans, inspector } = await withDead();
    await app.tasks(Loans).recompute(1);
    const seen = await inspector.locks.show('Loans.recompute loan:1');
    if (seen === undefined) expect.fail('no lock');
    expect(await inspector.locks.remove(seen)).to.equal('removed');
    expect(await inspector.locks.remove(seen)).to.equal('free');
    const { status, id } = await app.tasks(Loans).recompute(1);
    expect(status).to.equal('enqueued');
    expect(await inspector.locks.remove(seen)).to.equal('changed');
    expect(await stage.record('Loans.recompute', 'loan:1')).to.include({ owner: id });
  });

  it('tells of workers and of what they run, until they stop', async () => {
    const gate = new Gate();
    class Jobs {
      @Task({ queue: stage.queue, unique: 'job:<id>' })
      async work(@Key('id') _id: number): Promise<void> {
        await gate.pass();
      }
    }
    const app = stage.app([Jobs]);
    await app.connect({ name: stage.queue });
    const inspector = await app.inspector();
    const mine = async () => (await inspector.overview()).workers.filter(({ name }) => name === stage.queue);
    const worker = app.worker({ concurrency: 3 });
    await worker.start();
    const { id } = await app.tasks(Jobs).work(7);
    await eventually(async () => {
      const [record] = await mine();
      expect(record).to.deep.include({ pid: process.pid, queues: [stage.queue], concurrency: 3, running: 1 });
      expect(record?.runs[0]).to.include({ task: 'Jobs.work', id, key: 'job:7' });
      expect(Date.now() - (record?.runs[0]?.since ?? 0)).to.be.within(0, 10_000);
    });
    expect((await inspector.overview()).queues[0]).to.include({ name: stage.queue, ready: 0, dead: 0, consumers: 1 });
    gate.open();
    await worker.stop();
    expect(await mine()).to.deep.equal([]);
  });
});
