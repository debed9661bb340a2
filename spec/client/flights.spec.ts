import { expect } from 'chai';
import type { Call } from '../../lib/client/call.js';
import { Flight } from '../../lib/client/flights.js';
import { LockUnavailableError, UnroutableError } from '../../lib/errors.js';

const holder = { id: 'leader', phase: 'queued' as const };

/** What a newcomer of that `expires` learns from a leader of the other, which it joined in time. */
async function join(leader: number | undefined, newcomer: number | undefined) {
  const passenger = (order: number, expires: number | undefined) => ({ order, call: { expires } as Call });
  const flight = new Flight(passenger(1, leader));
  const joined = flight.join(passenger(2, newcomer));
  flight.land({ holder, enqueued: true, coalesced: false });
  return (await joined)?.holder;
}

describe('concurrent enqueues of one key', () => {
  it('cover each other, but none that may wait longer than the leader', async () => {
    expect(await join(undefined, undefined)).to.equal(holder);
    expect(await join(undefined, 5)).to.equal(holder);
    expect(await join(5, 5)).to.equal(holder);
    expect(await join(5, 6)).to.equal(undefined);
    expect(await join(5, undefined)).to.equal(undefined);
  });

  it('travel with the newest arguments of those whom they cover', () => {
    const passenger = (order: number, expires: number) => ({ order, call: { offer: '[]', expires } as Call });
    const [leader, covered, longer] = [passenger(1, 5), passenger(2, 5), passenger(3, 6)];
    const flight = new Flight(leader);
    for (const newcomer of [covered, longer]) void flight.join(newcomer);
    expect(flight.newest).to.equal(covered.call);
  });

  it('fail together when nobody can be reached, and on their own when one names a queue that is gone', async () => {
    const to = (order: number, queue: string) => ({ order, call: { queue } as Call });
    const outcome = (outage: Error, queue: string): Promise<unknown> => {
      const flight = new Flight(to(1, 'gone'));
      const joined = flight.join(to(2, queue)).catch((error: unknown) => error);
      flight.land({ outage });
      return joined;
    };
    const [unroutable, away] = [new UnroutableError('no queue'), new LockUnavailableError('away')];
    expect(await outcome(unroutable, 'gone')).to.equal(unroutable);
    expect(await outcome(unroutable, 'there')).to.equal(undefined);
    expect(await outcome(away, 'there')).to.equal(away);
  });

  it('lean on a claim that is on its way only if their arguments do not matter', async () => {
    for (const [offer, covered] of [
      [undefined, holder],
      ['[[2],{}]', undefined],
    ] as const) {
      const passenger = (order: number) => ({ order, call: { offer } as Call });
      const flight = new Flight(passenger(1));
      await flight.gather();
      const joined = flight.join(passenger(2));
      flight.land({ holder, enqueued: true, coalesced: offer !== undefined });
      expect((await joined)?.holder).to.equal(covered);
    }
  });
});
