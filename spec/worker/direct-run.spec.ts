import { expect } from 'chai';
import { createApp, LeaseLostError, LockUnavailableError, ShouldCompute, Task, taskContext } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import type { Guard } from '../../lib/guard.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
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
