import { expect } from 'chai';
import { createApp, LeaseLostError, LockUnavailableError, ShouldCompute, Task, taskContext } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import type { Guard, LockRecord } from '../../lib/guard.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';

const clock = systemClock;
const RECORD = 'solotask:lock:Reports.report:report';

const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

describe('a plain call whose lock is in trouble', () => {
  const gates: Gate[] = [];

  /** A service whose app has that guard; its body waits at the last of `gates`. */
  function service(locks: Guard, lease = 150) {
    const gate = new Gate();
    gates.push(gate);
    class Reports {
      @Task()
      @ShouldCompute({ key: 'report', lease })
      async report() {
        const { signal } = taskContext();
        await Promise.race([gate.pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
        return signal.aborted;
      }
    }
    const app = createApp({ broker: 'memory:', locks, services: [Reports] });
    return { app, gate, reports: new Reports() };
  }

  it('aborts the signal, and rejects: another run may have begun beside it', async () => {
    const store = new MemoryLocks();
    const { app, gate, reports } = service(createMemoryGuard({ clock, store }));
    const lost: unknown[] = [];
    app.on('lock:lost', ({ task, key }) => lost.push([task, key]));
    const call = failure(reports.report());
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const { owner, fence } = store.read(RECORD, clock.now())!;
    const thief = createMemoryGuard({ clock, store });
    await thief.abandon(RECORD, { owner: owner!, fence });
    expect(await call).to.be.instanceOf(LeaseLostError);
    expect(lost).to.deep.equal([['Reports.report', 'report']]);
    await app.close();
  });

  it('calls nothing done once its own view of the lease has passed, though nobody else has the key', async () => {
    const store = new MemoryLocks();
    const deaf = Object.assign(createMemoryGuard({ clock, store }), { renew: async () => 'unknown' as const });
    const { app, reports } = service(deaf);
    expect(await failure(reports.report())).to.be.instanceOf(LeaseLostError);
    const { owner, done } = store.read(RECORD, clock.now())!;
    expect([owner, done]).to.deep.equal([undefined, undefined]);
    await app.close();
  });

  it('rejects when only the release finds that the lock is gone', async () => {
    const store = new MemoryLocks();
    const { app, gate, reports } = service(createMemoryGuard({ clock, store }), 60_000);
    const call = failure(reports.report());
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const { owner, fence } = store.read(RECORD, clock.now())!;
    await createMemoryGuard({ clock, store }).abandon(RECORD, { owner: owner!, fence });
    gate.open();
    expect(await call).to.be.instanceOf(LeaseLostError);
    await app.close();
  });

  it('is not made at all when nobody can say who has the key', async () => {
    const guard = createMemoryGuard({ clock });
    const { app, gate, reports } = service(guard);
    await app.connect();
    await guard.close();
    expect(await failure(reports.report())).to.be.instanceOf(LockUnavailableError);
    expect(gate.arrivals).to.equal(0);
    await app.close();
  });

  it('waits for a producer that publishes, for its message may never come', async () => {
    const store = new MemoryLocks();
    const guard = createMemoryGuard({ clock, store });
    const { app, gate, reports } = service(createMemoryGuard({ clock, store }));
    const fence = clock.now() * 1000;
    await guard.claimPublishing(RECORD, { owner: 'producer', fence, window: 200, expires: 0 });
    gate.open();
    expect(await reports.report()).to.equal(false);
    await app.close();
  });
});

describe('a plain call under coalesce whose lock is in trouble', () => {
  const NEW = '[["new"],{}]';

  /** A service whose app has that guard, in part its own; its body waits at the gate. */
  function service(overrides: (real: Guard) => Partial<Guard> = () => ({})) {
    const store = new MemoryLocks();
    const real = createMemoryGuard({ clock, store });
    const locks = Object.assign(createMemoryGuard({ clock, store }), overrides(real));
    const broker = new MemoryBroker(clock);
    const gate = new Gate();
    const ran: string[] = [];
    class Reports {
      @Task()
      @ShouldCompute({ key: 'report', onDuplicate: 'coalesce' })
      async report(text: string) {
        ran.push(text);
        await gate.pass();
        return text;
      }
    }
    const app = createApp({ broker: createMemoryTransport({ clock, broker }), locks, services: [Reports] });
    const record = (): LockRecord => store.read(RECORD, clock.now())!;
    return { app, broker, gate, ran, real, record, reports: new Reports() };
  }

  const micros = (): number => clock.now() * 1_000;
  const claimOf = (owner: string, seq: number) =>
    ({ owner, fence: seq + 1, seq, nonce: owner, copy: owner, lease: 15_000, strategy: 'requeue' }) as const;

  /** Calls with old arguments, and hands new ones to the call while it runs. */
  async function callAndOffer({
    gate,
    real,
    reports,
  }: ReturnType<typeof service>): Promise<{ call: Promise<unknown> }> {
    const call = reports.report('old');
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const claim = { ...claimOf('newcomer', micros() + 1_000_000), offer: { args: NEW } };
    expect(await real.claimRunning(RECORD, claim)).to.include({ outcome: 'held', offered: true });
    return { call };
  }

  /** A message waits under the id of the call, which still has the key; so do the newest arguments. */
  function expectHandOver({ broker, record }: ReturnType<typeof service>): void {
    expect(broker.ready('tasks')).to.equal(1);
    const { phase, args } = record();
    expect([phase, args?.args]).to.deep.equal(['queued', NEW]);
  }

  it('offers its arguments until the holder has taken them: another clock may be ahead', async () => {
    const { app, real, record, reports, ran } = service();
    const ahead = micros() + 60_000_000;
    expect(await real.claimRunning(RECORD, claimOf('holder', ahead))).to.have.property('outcome', 'granted');
    expect(await reports.report('new')).to.equal(undefined);
    const { mark } = record();
    expect(mark?.args).to.equal(NEW);
    expect(mark?.seq).to.be.above(ahead);
    expect(ran).to.deep.equal([]);
    await app.close();
  });

  it('runs with what is kept with the key when that is newer, though its lease began', async () => {
    const kept = { seq: micros() + 60_000_000, args: '[["kept"],{}]' };
    const { app, gate, reports, ran } = service(() => ({ newest: async () => kept }));
    gate.open();
    expect(await reports.report('call')).to.equal('kept');
    expect(ran).to.deep.equal(['kept']);
    await app.close();
  });

  it('leaves a message when nobody can say what is left to do', async () => {
    let answers = true;
    const on = service((real) => ({ newest: async (...args) => (answers ? real.newest(...args) : 'unknown') }));
    const { call } = await callAndOffer(on);
    answers = false;
    const closing = on.app.close();
    on.gate.open();
    expect(await call).to.equal('old');
    await closing;
    expectHandOver(on);
  });

  it('leaves a message for what it was handed when the key is lost, and rejects', async () => {
    const on = service(() => ({ release: async () => 'lost' }));
    const { call } = await callAndOffer(on);
    on.gate.open();
    expect(await failure(call)).to.be.instanceOf(LeaseLostError);
    expectHandOver(on);
    await on.app.close();
  });

  it('leaves a message when it cannot run again, and gives the value of its own run', async () => {
    const on = service((real) => ({
      claimRunning: async (key, claim) =>
        claim.rerun === true ? { outcome: 'clock', skew: 1 } : real.claimRunning(key, claim),
    }));
    const { call } = await callAndOffer(on);
    on.gate.open();
    expect(await call).to.equal('old');
    expect(on.ran).to.deep.equal(['old']);
    expectHandOver(on);
    await on.app.close();
  });

  it('leaves a message that does not run when a run with newer arguments has ended', async () => {
    const on = service((real) => ({
      release: async () => 'lost',
      hold: async (key, identity) => ((await real.abandon(key, identity)) === 'ok' ? 'lost' : 'unknown'),
    }));
    const { call } = await callAndOffer(on);
    on.gate.open();
    expect(await failure(call)).to.be.instanceOf(LeaseLostError);
    const other = claimOf('other', micros() + 2_000_000);
    expect(await on.real.claimRunning(RECORD, other)).to.have.property('outcome', 'granted');
    expect(await on.real.release(RECORD, other, { seq: other.seq, dead: false })).to.equal('ok');
    const reasons: string[] = [];
    on.app.on('task:discarded', ({ reason }) => reasons.push(reason));
    await on.app.worker().start();
    await eventually(() => expect(reasons).to.deep.equal(['done']));
    expect(on.ran).to.deep.equal(['old']);
    await on.app.close();
  });

  it('leaves nothing when the key is lost and nobody waits', async () => {
    const { app, broker, gate, record, reports } = service(() => ({ release: async () => 'lost' }));
    gate.open();
    expect(await failure(reports.report('old'))).to.be.instanceOf(LeaseLostError);
    expect([broker.ready('tasks'), record().owner]).to.deep.equal([0, undefined]);
    await app.close();
  });
});
