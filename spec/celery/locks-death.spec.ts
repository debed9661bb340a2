import { expect } from 'chai';
import type { App } from 'solotask';
import { randomUUID } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import { freshLoan, nodeLoans, UniqueStage } from './unique-stage.js';

describe('keys of messages whose Celery worker dies, or that never run', () => {
  const stage = new UniqueStage();
  const { Loans, pass, runs } = nodeLoans(stage.queue);
  let app: App;

  before(async function () {
    this.timeout(30_000);
    await stage.open();
    app = stage.app([Loans]);
    await app.connect();
  });
  after(() => stage.close());

  /** A loan whose body runs in a Python worker that is killed then. */
  async function killed() {
    const loan = freshLoan();
    const worker = await stage.worker(['-P', 'prefork', '-c', '1']);
    const { id } = await stage.enqueue('loans.discard', [loan, 1]);
    const [begun] = await stage.tells(loan, 1);
    await worker.end('SIGKILL');
    return { loan, id, begun, at: Date.now() };
  }

  it('are kept by a dead worker no longer than its lease: another one takes over', async () => {
    const { loan, id, begun, at } = await killed();
    const worker = await stage.worker(['-P', 'solo']);
    const told = await stage.tells(loan, 2, 15_000);
    expect(told[1]).to.deep.include({ event: 'begin', id, args: [loan, 1] });
    expect(told[1]?.fence).to.be.above(begun?.fence ?? Infinity);
    expect(Date.now() - at).to.be.below(15_000);
    await stage.pass(loan);
    expect((await stage.free('loans.discard', loan)).done).to.include({ id, dead: false });
    await worker.end('SIGTERM');
  }).timeout(60_000);

  it('are taken over by ours', async () => {
    const { loan, id, begun } = await killed();
    const worker = app.worker({ concurrency: 2 });
    await worker.start();
    await eventually(() => expect(runs.filter((run) => run.id === id)).to.have.length(1), { timeout: 15_000 });
    expect(runs.find((run) => run.id === id)?.fence).to.be.above(begun?.fence ?? Infinity);
    pass(loan);
    expect((await stage.free('loans.discard', loan)).done).to.include({ id, dead: false });
    await worker.stop();
  }).timeout(60_000);

  it('are freed when their message has expired before its run', async () => {
    const loan = freshLoan();
    const { id } = await stage.enqueue('loans.discard', [loan], { expires: 0.3 });
    expect(await stage.record('loans.discard', loan)).to.include({ owner: id, phase: 'queued' });
    await eventually(async () => {
      const [record, now] = [await stage.record('loans.discard', loan), await stage.guard.now()];
      expect(record?.expires).to.be.within(1, now);
    });
    const worker = await stage.worker(['-P', 'solo']);
    await stage.free('loans.discard', loan);
    expect(await stage.peer.ask('state', { id })).to.include({ state: 'REVOKED' });
    expect(await stage.told(loan)).to.deep.equal([]);
    await worker.end('SIGTERM');
  }).timeout(40_000);

  it('stay with an expired message on which another enqueue leaned: it runs', async () => {
    const loan = freshLoan();
    const { id } = await stage.enqueue('loans.discard', [loan], { expires: 0.3 });
    const expires = (await stage.record('loans.discard', loan))?.expires ?? 0;
    expect(await app.tasks(Loans).discard(loan)).to.include({ status: 'discarded', id });
    await eventually(async () => expect(await stage.guard.now()).to.be.above(expires));
    const worker = await stage.worker(['-P', 'solo']);
    expect((await stage.tells(loan, 1))[0]).to.include({ id });
    await stage.pass(loan);
    await stage.free('loans.discard', loan);
    await worker.end('SIGTERM');
  }).timeout(40_000);

  it('are freed when their task is revoked', async () => {
    const loan = freshLoan();
    const id = randomUUID();
    const worker = await stage.worker(['-P', 'solo']);
    await stage.peer.ask('revoke', { id });
    await eventually(() => expect(worker.log).to.include(`Tasks flagged as revoked: ${id}`));
    await stage.enqueue('loans.discard', [loan], { task_id: id });
    expect((await stage.free('loans.discard', loan)).done).to.include({ id, dead: true });
    expect(await stage.told(loan)).to.deep.equal([]);
    expect(await app.tasks(Loans).discard(loan)).to.include({ status: 'enqueued' });
    await stage.tells(loan, 1);
    await stage.pass(loan);
    await stage.tells(loan, 2);
    await worker.end('SIGTERM');
  }).timeout(40_000);

  it('are freed when nobody knows their task', async () => {
    const loan = freshLoan();
    const { id } = await stage.enqueue('loans.discard', [loan]);
    const worker = await stage.worker(['-P', 'solo'], { SPEC_UNKNOWN: 'yes' });
    expect((await stage.free('loans.discard', loan)).done).to.include({ id, dead: true });
    expect(worker.log).to.include('unregistered task');
    await worker.end('SIGTERM');
  }).timeout(40_000);
});
