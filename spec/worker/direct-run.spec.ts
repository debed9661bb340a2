import { expect } from 'chai';
import { createApp, LeaseLostError, LockUnavailableError, ShouldCompute, Task, taskContext } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import type { Guard } from '../../lib/guard.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';

const clock = systemClock;
const RECORD = 'solotask:lock:Reports.report:report';

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

  const failure = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

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
  /** A service whose app has that guard; its body waits at the gate. */
  function service(locks: Guard, lease = 15_000) {
    const gate = new Gate();
    const ran: string[] = [];
    class Reports {
      @Task()
      @ShouldCompute({ key: 'report', onDuplicate: 'coalesce', lease })
      async report(text: string) {
        ran.push(text);
        await gate.pass();
        return text;
      }
    }
    const broker = new MemoryBroker(clock);
    const app = createApp({ broker: createMemoryTransport({ clock, broker }), locks, services: [Reports] });
    return { app, broker, gate, ran, reports: new Reports() };
  }

  const micros = (): number => clock.now() * 1_000;
  const claimOf = (owner: string, fence: number, seq: number) =>
    ({ owner, fence, seq, nonce: owner, copy: owner, lease: 15_000, strategy: 'requeue' }) as const;

  it('offers its arguments until the holder has taken them: another clock may be ahead', async () => {
    const store = new MemoryLocks();
    const holder = createMemoryGuard({ clock, store });
    const ahead = micros() + 60_000_000;
    const claim = claimOf('holder', ahead + 1, ahead);
    expect(await holder.claimRunning(RECORD, claim)).to.have.property('outcome', 'granted');
    const { app, reports, ran } = service(createMemoryGuard({ clock, store }));
    expect(await reports.report('new')).to.equal(undefined);
    const { mark } = store.read(RECORD, clock.now())!;
    expect(mark?.args).to.equal('[["new"],{}]');
    expect(mark?.seq).to.be.above(ahead);
    expect(ran).to.deep.equal([]);
    await app.close();
  });

  it('runs with what is kept with the key when that is newer, though its lease began', async () => {
    const store = new MemoryLocks();
    const kept = { seq: micros() + 60_000_000, args: '[["kept"],{}]' };
    const newest: Guard['newest'] = async () => kept;
    const { app, gate, reports, ran } = service(Object.assign(createMemoryGuard({ clock, store }), { newest }));
    gate.open();
    expect(await reports.report('call')).to.equal('kept');
    expect(ran).to.deep.equal(['kept']);
    await app.close();
  });

  it('leaves a message when nobody can say what is left to do', async () => {
    const store = new MemoryLocks();
    let answers = true;
    const real = createMemoryGuard({ clock, store });
    const newest: Guard['newest'] = async (...args) => (answers ? real.newest(...args) : 'unknown');
    const { app, broker, gate, reports } = service(Object.assign(createMemoryGuard({ clock, store }), { newest }));
    const call = reports.report('old');
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const seq = micros() + 1_000_000;
    const claim = { ...claimOf('newcomer', seq + 1, seq), offer: { args: '[["new"],{}]' } };
    expect(await real.claimRunning(RECORD, claim)).to.include({ outcome: 'held', offered: true });
    answers = false;
    const closing = app.close();
    gate.open();
    expect(await call).to.equal('old');
    await closing;
    expect(broker.ready('tasks')).to.equal(1);
    const { owner, phase, args } = store.read(RECORD, clock.now())!;
    expect([owner === undefined, phase, args?.args]).to.deep.equal([false, 'queued', '[["new"],{}]']);
  });
});
