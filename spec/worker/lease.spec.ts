import { expect } from 'chai';
import { systemClock, type Timer } from '../../lib/clock.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import type { Guard, HoldAnswer } from '../../lib/guard.js';
import { Lease } from '../../lib/worker/lease.js';
import { freshKey, running } from '../support/guards.js';

// Client rule 5, moment by moment.
describe('the lease of a run', () => {
  let time: number;
  let timers: { at: number; fire: () => void }[];
  let lost: string[];
  const clock = {
    ...systemClock,
    monotonic: () => time,
    after: (ms: number, fire: () => void): Timer => {
      const timer = { at: time + ms, fire };
      timers.push(timer);
      return { cancel: () => void (timers = timers.filter((other) => other !== timer)) };
    },
  };

  beforeEach(() => {
    [time, timers, lost] = [0, [], []];
  });

  /** A lease of 300 ms whose claim was sent 10 ms ago; `renew` is asked instead of the guard. */
  async function lease(renew?: (ms: number) => Promise<HoldAnswer>): Promise<Lease> {
    const real = createMemoryGuard({ clock: systemClock });
    const record = freshKey();
    const claim = running('a', { lease: 300 });
    await real.claimRunning(record, claim);
    const value = renew && ((_record: string, _identity: object, ms: number) => renew(ms));
    const guard: Guard = value === undefined ? real : (Object.create(real, { renew: { value } }) as Guard);
    return new Lease({ guard, clock }, { record, identity: claim, lease: 300, sent: -10 }, ({ message }) =>
      lost.push(message),
    );
  }

  /** To that moment at once, as after a blocked event loop: what is due fires late, in its order. */
  async function jump(to: number): Promise<void> {
    time = to;
    const due = timers.filter(({ at }) => at <= to).sort((one, other) => one.at - other.at);
    timers = timers.filter((timer) => !due.includes(timer));
    for (const { fire } of due) fire();
    await new Promise((resolve) => setImmediate(resolve));
  }

  it('is renewed every third of it', async () => {
    const asked: number[] = [];
    await lease(async () => (asked.push(time), 'ok'));
    for (const moment of [100, 200, 300, 400]) await jump(moment);
    expect(asked).to.deep.equal([100, 200, 300, 400]);
    expect(lost).to.deep.equal([]);
  });

  it('is lost when a renewal is refused', async () => {
    await lease(async () => 'lost');
    await jump(100);
    expect(lost).to.have.length(1);
  });

  it('is lost, and not renewed, when the loop was blocked until it had passed', async () => {
    let asked = 0;
    await lease(async () => (asked++, 'ok'));
    await jump(290);
    expect({ asked, lost: lost.length }).to.deep.equal({ asked: 0, lost: 1 });
  });

  it('is lost as soon as somebody looks after it has passed, though no timer came yet', async () => {
    const held = await lease();
    time = 289;
    held.check();
    expect(lost).to.deep.equal([]);
    time = 290;
    held.check();
    held.check();
    expect(lost).to.have.length(1);
    expect(timers).to.deep.equal([]);
  });

  it('counts from when a renewal was sent, not from its answer', async () => {
    let answers = 0;
    await lease(async () => {
      if (answers++ > 0) return 'unknown';
      time = 180;
      return 'ok';
    });
    await jump(100);
    for (const moment of [280, 399]) await jump(moment);
    expect(lost).to.deep.equal([]);
    await jump(400);
    expect(lost).to.have.length(1);
  });
});
