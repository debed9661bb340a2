import { expect } from 'chai';
import { pause, systemClock, type Clock } from '../../lib/clock.js';
import { Seat } from '../../lib/worker/seat.js';
import { Slots } from '../../lib/worker/slots.js';

describe('a seat', () => {
  /** Its timers fire when the test says so. */
  const timers: { ms: number; fire: () => void }[] = [];
  const clock: Clock = {
    ...systemClock,
    after: (ms, fire) => {
      const timer = { ms, fire };
      timers.push(timer);
      return { cancel: () => void timers.splice(timers.indexOf(timer), 1) };
    },
  };
  const seats = (size: number): (() => Seat) => {
    const slots = new Slots(size);
    const parts = { clock, slots, waitingRoom: { free: 1 }, draining: new AbortController().signal };
    return () => new Seat(parts);
  };
  beforeEach(() => timers.splice(0));

  it('is taken at once while there is one, and by who waits longest when one is left', async () => {
    const seat = seats(1);
    const [first, second, third] = [seat(), seat(), seat()];
    expect(await first.take()).to.equal(true);
    const order: string[] = [];
    const waits = [
      Promise.resolve(second.take()).then(() => order.push('second')),
      Promise.resolve(third.take()).then(() => order.push('third')),
    ];
    await pause(systemClock, 5);
    expect(order).to.deep.equal([]);
    first.leave();
    await waits[0];
    second.leave();
    await waits[1];
    expect(order).to.deep.equal(['second', 'third']);
    expect(timers).to.deep.equal([]);
  });

  it('is waited for no longer than five minutes, well below the time that a broker waits for an acknowledgement', async () => {
    const seat = seats(1);
    const [first, second, third] = [seat(), seat(), seat()];
    await first.take();
    const gaveUp = second.take();
    expect(timers.map(({ ms }) => ms)).to.deep.equal([300_000]);
    timers[0]?.fire();
    expect(await gaveUp).to.equal(false);
    // Who gave up holds nothing, and is passed over.
    second.leave();
    const taken = third.take();
    first.leave();
    expect(await taken).to.equal(true);
  });
});
