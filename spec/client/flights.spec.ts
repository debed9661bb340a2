import { expect } from 'chai';
import { Flight } from '../../lib/client/flights.js';

const holder = { id: 'leader', phase: 'queued' as const };

/** What a newcomer of that `expires` learns from a leader of the other, which it joined in time. */
async function join(leader: number | undefined, newcomer: number | undefined) {
  const flight = new Flight(leader);
  const joined = flight.join(newcomer);
  flight.land({ holder, enqueued: true });
  return joined;
}

describe('concurrent enqueues of one key', () => {
  it('cover each other, but none that may wait longer than the leader', async () => {
    expect(await join(undefined, undefined)).to.equal(holder);
    expect(await join(undefined, 5)).to.equal(holder);
    expect(await join(5, 5)).to.equal(holder);
    expect(await join(5, 6)).to.equal(undefined);
    expect(await join(5, undefined)).to.equal(undefined);
  });
});
