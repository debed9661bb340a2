import { expect } from 'chai';
import type { App } from 'solotask';
import { eventually } from '../support/eventually.js';
import { freshLoan, NAMESPACE, nodeLoans, UniqueStage } from './unique-stage.js';

describe("Celery's worker in the lock space", () => {
  const stage = new UniqueStage();
  const { Loans } = nodeLoans(stage.queue);
  let app: App;

  before(async function () {
    this.timeout(40_000);
    await stage.open();
    app = stage.app([Loans]);
    await app.connect();
    await stage.worker(['-P', 'threads', '-c', '4']);
  });
  after(() => stage.close());

  it("drops Node's enqueue of a key that Python holds, and names its holder", async () => {
    const loan = freshLoan();
    const { id } = await stage.enqueue('loans.discard', [loan]);
    await stage.tells(loan, 1);
    const receipt = await app.tasks(Loans).discard(loan);
    expect(receipt).to.include({ status: 'discarded', id });
    expect(receipt.holder).to.deep.equal({ id, phase: 'running' });
    await stage.pass(loan);
    const { done } = await stage.free('loans.discard', loan);
    expect(done).to.include({ id, dead: false });
    expect(await app.tasks(Loans).discard(loan)).to.include({ status: 'enqueued' });
    await stage.pass(loan);
    await stage.tells(loan, 4);
  });

  it("runs Node's message under the key that it carries, and drops Python's enqueue meanwhile", async () => {
    const loan = freshLoan();
    const receipt = await app.tasks(Loans).discard(loan, 5);
    expect(await stage.enqueue('loans.discard', [loan])).to.deep.equal({ id: receipt.id, status: 'discarded' });
    const [begun] = await stage.tells(loan, 1);
    expect(begun).to.deep.include({ id: receipt.id, args: [loan, 5] });
    const record = await stage.record('loans.discard', loan);
    expect(record).to.include({ owner: receipt.id, phase: 'running', fence: begun?.fence });
    await stage.pass(loan);
    await stage.free('loans.discard', loan);
  });

  it('takes the key that a message carries, and computes none', async () => {
    const loan = freshLoan();
    const { id } = await app.tasks(Loans, { key: `chosen:${loan}` }).discard(loan);
    await stage.tells(loan, 1);
    const record = await stage.guard.read(`${NAMESPACE}:lock:loans.discard:chosen:${loan}`);
    expect(record).to.include({ owner: id, phase: 'running' });
    expect(await stage.record('loans.discard', loan)).to.equal(undefined);
    await stage.pass(loan);
  });

  it("computes the key of a plain Celery producer's message", async () => {
    const loan = freshLoan();
    const id = await stage.peer.ask<string>('send', { task: 'loans.discard', args: [loan] });
    await stage.tells(loan, 1);
    expect(await app.tasks(Loans).discard(loan)).to.include({ status: 'discarded', id });
    await stage.pass(loan);
    await stage.free('loans.discard', loan);
  });

  it("runs once more with the newest of Node's arguments that came during the run", async () => {
    const loan = freshLoan();
    const { id } = await stage.enqueue('loans.coalesce', [loan, 1]);
    await stage.tells(loan, 1);
    expect(await app.tasks(Loans).coalesce(loan, 2)).to.include({ status: 'coalesced', id });
    expect(await app.tasks(Loans).coalesce(loan, 3)).to.include({ status: 'coalesced', id });
    await stage.pass(loan);
    await stage.pass(loan);
    const told = await stage.tells(loan, 4);
    expect(told.map(({ event, args }) => [event, args[1]])).to.deep.equal([
      ['begin', 1],
      ['end', 1],
      ['begin', 3],
      ['end', 3],
    ]);
    const { args, mark } = await stage.free('loans.coalesce', loan);
    expect([args, mark]).to.deep.equal([undefined, undefined]);
    expect(await stage.told(loan)).to.have.length(4);
  });

  it('keeps the key while a task waits for its retry, and frees it when the last one has failed', async () => {
    const loan = freshLoan();
    const { id } = await stage.enqueue('loans.failing', [loan, 3]);
    await stage.tells(loan, 1);
    await stage.pass(loan);
    await eventually(async () => {
      expect(await stage.record('loans.failing', loan)).to.include({ owner: id, phase: 'queued' });
    });
    expect(await app.tasks(Loans).failing(loan)).to.include({ status: 'discarded', id });
    await stage.tells(loan, 3);
    await stage.pass(loan);
    const { done } = await stage.free('loans.failing', loan);
    expect(done).to.include({ id, dead: true });
  });

  it('leaves a key alone that was taken from it, and its body sees the loss', async () => {
    const loan = freshLoan();
    await stage.enqueue('loans.discard', [loan]);
    const [begun] = await stage.tells(loan, 1);
    const record = `${NAMESPACE}:lock:loans.discard:loan:${loan}`;
    await stage.redis.del(record);
    const other = { owner: 'another', nonce: 'another', fence: (begun?.fence ?? 0) + 1 };
    const lease = { copy: '', seq: undefined, lease: 60_000, strategy: 'requeue' } as const;
    expect(await stage.guard.claimRunning(record, { ...other, ...lease })).to.deep.equal({ outcome: 'granted' });
    expect((await stage.tells(loan, 2))[1]).to.include({ event: 'lost' });
    expect(await stage.guard.read(record)).to.include({ owner: 'another', phase: 'running' });
    await stage.guard.release(record, other, { seq: 0, dead: false });
  });

  it('lets a key go when no queue takes the message', async () => {
    const loan = freshLoan();
    const refused = stage.peer.ask('enqueue_nowhere', { task: 'loans.discard', args: [loan] });
    expect(await refused.catch((error: unknown) => error)).to.have.property('type', 'ChannelError');
    await stage.free('loans.discard', loan, 100);
    expect(await app.tasks(Loans).discard(loan)).to.include({ status: 'enqueued' });
    await stage.pass(loan);
    await stage.tells(loan, 2);
  });

  it('lets the worker alone decide on the key of a task that is declared so', async () => {
    const loan = freshLoan();
    const first = await stage.enqueue('loans.compute', [loan]);
    await stage.tells(loan, 1);
    const second = await stage.enqueue('loans.compute', [loan]);
    expect(second.status).to.equal('enqueued');
    await eventually(async () => {
      expect(await stage.peer.ask('state', { id: second.id })).to.include({ state: 'REVOKED' });
    });
    await stage.pass(loan);
    expect((await stage.free('loans.compute', loan)).done).to.include({ id: first.id });
    expect(await stage.told(loan)).to.have.length(2);
  });
});

describe("our worker on keys that Celery's producers took", () => {
  const stage = new UniqueStage();
  const { Loans, pass, runs } = nodeLoans(stage.queue);
  let app: App;
  const ran = (loan: number) => runs.filter(({ args }) => args[0] === loan);

  before(async function () {
    this.timeout(30_000);
    await stage.open();
    app = stage.app([Loans]);
    await app.worker({ concurrency: 4 }).start();
  });
  after(() => stage.close());

  it("runs Python's message under its key, and every producer is told its id meanwhile", async () => {
    const loan = freshLoan();
    const { id, status } = await stage.enqueue('loans.discard', [loan, 7]);
    expect(status).to.equal('enqueued');
    await eventually(() => expect(ran(loan)).to.have.length(1));
    expect(ran(loan)[0]).to.deep.include({ id, args: [loan, 7] });
    expect(await stage.enqueue('loans.discard', [loan, 8])).to.deep.equal({ id, status: 'discarded' });
    expect(await app.tasks(Loans).discard(loan, 9)).to.include({ status: 'discarded', id });
    pass(loan);
    expect((await stage.free('loans.discard', loan)).done).to.include({ id });
    expect(ran(loan)).to.have.length(1);
  });

  it("runs once more with the newest of Python's arguments that came during the run", async () => {
    const loan = freshLoan();
    const { id } = await app.tasks(Loans).coalesce(loan, 1);
    await eventually(() => expect(ran(loan)).to.have.length(1));
    expect(await stage.enqueue('loans.coalesce', [loan, 2])).to.deep.equal({ id, status: 'coalesced' });
    expect(await stage.enqueue('loans.coalesce', [loan, 3])).to.deep.equal({ id, status: 'coalesced' });
    pass(loan);
    await eventually(() => expect(ran(loan)).to.have.length(2));
    pass(loan);
    await stage.free('loans.coalesce', loan);
    expect(ran(loan).map(({ args }) => args[1])).to.deep.equal([1, 3]);
  });
});

describe('a Celery worker whose deliveries have one body each', () => {
  const stage = new UniqueStage();
  before(async function () {
    this.timeout(40_000);
    await stage.open();
    await stage.worker(['-P', 'threads', '-c', '2'], { SPEC_RERUNS: '0' });
  });
  after(() => stage.close());

  it('publishes a message again for arguments that came during its run', async () => {
    const loan = freshLoan();
    const { id } = await stage.enqueue('loans.coalesce', [loan, 1]);
    await stage.tells(loan, 1);
    expect(await stage.enqueue('loans.coalesce', [loan, 2])).to.deep.equal({ id, status: 'coalesced' });
    await stage.pass(loan);
    expect((await stage.tells(loan, 3))[2]).to.deep.include({ event: 'begin', id, args: [loan, 2] });
    await stage.pass(loan);
    const { args, done } = await stage.free('loans.coalesce', loan);
    expect([args, done?.id]).to.deep.equal([undefined, id]);
    expect(await stage.told(loan)).to.have.length(4);
  });
});
