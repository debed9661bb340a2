import { expect } from 'chai';
import { Reservation } from '../../lib/client/reservation.js';
import { systemClock } from '../../lib/clock.js';
import { FenceSource } from '../../lib/fence.js';
import type { ClaimAnswer, Guard } from '../../lib/guard.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { freshKey, publishing } from '../support/guards.js';

// Client rule 7: what nobody decided is abandoned before anybody is told anything.
describe('a producer whose claims are answered late or not at all', () => {
  const real = createMemoryGuard({ clock: systemClock });
  const unknown: ClaimAnswer = { outcome: 'unknown', cause: undefined };
  let ahead: number;
  let said: string[];
  let record: string;

  beforeEach(() => {
    [ahead, said, record] = [0, [], freshKey()];
  });

  /** Asks for the key; `claim` and `abandon` are called before (and answer instead of) the guard. */
  function reserve(
    claim: (round: number) => ClaimAnswer | undefined,
    abandon: () => 'unknown' | undefined = () => undefined,
  ) {
    let round = 0;
    const guard: Guard = Object.create(real, {
      claimPublishing: {
        value: async (...args: Parameters<Guard['claimPublishing']>) => {
          said.push(`claim ${++round}`);
          const answer = await real.claimPublishing(...args);
          return claim(round) ?? answer;
        },
      },
      abandon: {
        value: async (...args: Parameters<Guard['abandon']>) => {
          said.push('abandon');
          return abandon() ?? real.abandon(...args);
        },
      },
    }) as Guard;
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead };
    const wish = { record, owner: 'b', expires: undefined, hasty: false, deadline: clock.monotonic() + 60_000 };
    return new Reservation({ guard, fences: new FenceSource(clock), clock }).reserve(wish);
  }

  const queue = async (owner: string): Promise<void> => {
    const claim = publishing(owner);
    expect((await real.claimPublishing(record, claim)).outcome).to.equal('granted');
    await real.confirm(record, claim, 60_000);
  };

  // Client rule 2
  it('waits for a holder that publishes, for its message may never exist: what it lets go is taken', async () => {
    const other = publishing('a');
    await real.claimPublishing(record, other);
    const reserved = await reserve((round) => {
      if (round === 2) void real.abandon(record, other);
      return undefined;
    });
    expect(said.slice(0, 3)).to.deep.equal(['claim 1', 'claim 2', 'claim 3']);
    expect(reserved).to.have.nested.property('identity.owner', 'b');
  });

  it('does not take a grant that came after its own window', async () => {
    const reserved = await reserve((round) => {
      if (round === 1) ahead += 5_000;
      return undefined;
    });
    expect(said).to.deep.equal(['claim 1', 'claim 2']);
    expect(reserved).to.have.nested.property('identity.fence', (await real.read(record))!.fence);
  });

  it('leans on no holder before its own undecided claim is abandoned, and that is acknowledged', async () => {
    await queue('a');
    let silent = true;
    const reserved = await reserve(
      (round) => (round === 1 ? unknown : undefined),
      () => {
        const answer = silent ? 'unknown' : undefined;
        silent = false;
        return answer;
      },
    );
    expect(said).to.deep.equal(['claim 1', 'claim 2', 'abandon', 'claim 3', 'abandon']);
    expect(reserved).to.have.nested.property('holder.owner', 'a');
  });

  // Client rule 3, read before it is claimed
  it('looks up who waits once most claims are refused, and claims again where nobody does', async () => {
    const asked: string[] = [];
    const heard = (name: string, ask: (...args: never[]) => unknown) => ({
      value: (...args: never[]): unknown => {
        asked.push(name);
        return ask(...args);
      },
    });
    const guard: Guard = Object.create(real, {
      claimPublishing: heard('claim', real.claimPublishing.bind(real)),
      waiting: heard('read', real.waiting.bind(real)),
    }) as Guard;
    const reservation = new Reservation({ guard, fences: new FenceSource(systemClock), clock: systemClock });
    const ask = (owner: string, offer?: string) => {
      const deadline = systemClock.monotonic() + 5_000;
      return reservation.reserve({ record, owner, expires: undefined, hasty: false, deadline, offer });
    };
    await queue('a');
    for (let i = 0; i < 20; i++) await ask('b');
    expect(asked.slice(0, 11)).to.not.include('read');
    expect(asked.slice(-3)).to.deep.equal(['read', 'read', 'read']);
    asked.length = 0;
    expect(await ask('b')).to.have.nested.property('holder.owner', 'a');
    // Its own id, arguments to hand over, a key that nobody has: a claim says more.
    await ask('a');
    await ask('b', '[[1],{}]');
    record = freshKey();
    expect(await ask('c')).to.have.nested.property('identity.owner', 'c');
    expect(asked).to.deep.equal(['read', 'read', 'claim', 'claim', 'read', 'claim']);
  });
});
