import { expect } from 'chai';
import { CeleryPeer } from '../support/celery.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl } from '../support/servers.js';
import { startProxy } from '../support/tcp-proxy.js';
import { freshLoan, UniqueStage } from './unique-stage.js';

const RECOMPUTE = 'recipes.recompute';
const ONCE = 'recipes.recompute_once';

/** The essay's recipes where they failed: see the table in docs/internals.md. */
describe("the essay's recipes, on samples/celery", () => {
  const stage = new UniqueStage('recipe_tasks');
  before(async function () {
    this.timeout(30_000);
    await stage.open();
  });
  after(() => stage.close());

  it('block a key for the publish window alone when their producer dies before it publishes', async () => {
    const loan = freshLoan();
    const dying = new CeleryPeer(stage.options());
    await dying.ask('die_publishing');
    const death = await dying.ask('enqueue', { task: RECOMPUTE, args: [loan] }).catch((error: unknown) => error);
    expect(String(death)).to.include('the peer has ended');
    const at = Date.now();
    expect(await stage.record(RECOMPUTE, loan)).to.include({ phase: 'publishing' });
    // It is not dropped on the evidence of a message that does not exist, but waits.
    expect(await stage.enqueue(RECOMPUTE, [loan])).to.include({ status: 'enqueued' });
    expect(Date.now() - at).to.be.below(6_500);
    await stage.pass(loan);
  });

  it('take no key when the broker cannot be reached', async () => {
    const loan = freshLoan();
    const proxy = await startProxy(testAmqpUrl());
    const cut = new CeleryPeer({ ...stage.options({ SPEC_PUBLISH_TIMEOUT: '2' }), broker: proxy.url });
    const warm = freshLoan();
    await cut.ask('enqueue', { task: RECOMPUTE, args: [warm] });
    proxy.refuse(true);
    proxy.cut();
    // Of the first the process cannot know whether it was sent: its key ends with the publish window.
    const first = await cut.ask('enqueue', { task: RECOMPUTE, args: [loan] }).catch((error: unknown) => error);
    expect(first).to.have.property('type', 'OperationalError');
    const second = freshLoan();
    const refused = await cut.ask('enqueue', { task: RECOMPUTE, args: [second] }).catch((error: unknown) => error);
    expect(refused).to.have.property('type', 'OperationalError');
    expect(await stage.record(RECOMPUTE, second)).to.equal(undefined);
    expect(await stage.enqueue(RECOMPUTE, [loan])).to.include({ status: 'enqueued' });
    await Promise.all([stage.pass(warm), stage.pass(loan)]);
    await cut.close();
    await proxy.close();
  });

  it('run the work of a worker that was killed, after its lease', async () => {
    const loan = freshLoan();
    const worker = await stage.worker(['-P', 'prefork', '-c', '1']);
    const { id } = await stage.enqueue(ONCE, [loan]);
    await stage.tells(loan, 1, 15_000);
    await worker.end('SIGKILL');
    const next = await stage.worker(['-P', 'solo']);
    const told = await stage.tells(loan, 2, 15_000);
    expect(told[1]).to.include({ event: 'begin', id });
    await stage.pass(loan);
    expect((await stage.free(ONCE, loan)).done).to.include({ id, dead: false });
    await next.end('SIGTERM');
  }).timeout(60_000);

  describe('with a worker', () => {
    before(async function () {
      this.timeout(30_000);
      await stage.worker(['-P', 'threads', '-c', '4']);
    });

    it('run longer than the ttl and the lease without a second run', async () => {
      const loan = freshLoan();
      const { id } = await stage.enqueue(RECOMPUTE, [loan]);
      const [begun] = await stage.tells(loan, 1);
      const first = await stage.record(RECOMPUTE, loan);
      await eventually(
        async () => {
          const now = await stage.record(RECOMPUTE, loan);
          expect((now?.deadline ?? 0) - (first?.deadline ?? 0)).to.be.above(4_000);
        },
        { timeout: 10_000 },
      );
      expect(await stage.record(RECOMPUTE, loan)).to.include({ owner: id, phase: 'running', fence: begun?.fence });
      await stage.pass(loan);
      await stage.free(RECOMPUTE, loan);
      expect((await stage.told(loan)).map(({ event }) => event)).to.deep.equal(['begin', 'end']);
    });

    it('run once more for all that changed during the run', async () => {
      const loan = freshLoan();
      const { id } = await stage.enqueue(RECOMPUTE, [loan]);
      await stage.tells(loan, 1);
      for (let i = 0; i < 3; i++) {
        expect(await stage.enqueue(RECOMPUTE, [loan])).to.deep.equal({ id, status: 'coalesced' });
      }
      await stage.pass(loan);
      await stage.pass(loan);
      await stage.free(RECOMPUTE, loan);
      expect((await stage.told(loan)).map(({ event }) => event)).to.deep.equal(['begin', 'end', 'begin', 'end']);
    });
  });
});
