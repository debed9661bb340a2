import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import { ClosedError, LockUnavailableError } from '../../lib/errors.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { publishing, running } from '../support/guards.js';

describe('the guard in memory', () => {
  let now: number;
  const clock = { ...systemClock, now: () => now };
  beforeEach(() => {
    now = systemClock.now();
  });

  it('shares its keys with the guards that share its store, and with no others', async () => {
    const store = new MemoryLocks();
    await createMemoryGuard({ clock, store }).claimPublishing('key', publishing('a'));
    const other = await createMemoryGuard({ clock, store }).claimPublishing('key', publishing('b'));
    expect(other.outcome).to.equal('held');
    expect((await createMemoryGuard({ clock }).claimPublishing('key', publishing('b'))).outcome).to.equal('granted');
  });

  it('tells the time left, and frees the key at its deadline', async () => {
    const guard = createMemoryGuard({ clock });
    await guard.claimRunning('key', running('a', { lease: 5000 }));
    now += 4999;
    expect(await guard.claimRunning('key', running('b'))).to.have.nested.property('holder.left', 1);
    now += 1;
    expect((await guard.claimRunning('key', running('b'))).outcome).to.equal('granted');
  });

  it('forgets a key the memory time after its deadline', async () => {
    const store = new MemoryLocks();
    const guard = createMemoryGuard({ clock, store, memory: 600_000 });
    await guard.claimRunning('key', running('a', { lease: 5000 }));
    now += 604_999;
    expect(await guard.read('key')).to.have.property('owner', 'a');
    now += 1;
    expect(await guard.read('key')).to.equal(undefined);
    await guard.abandon('other', { owner: 'x', fence: now * 1000 });
    expect(store.size).to.equal(1);
  });

  it('answers nothing after it was closed', async () => {
    const guard = createMemoryGuard({ clock });
    await guard.connect(100);
    await guard.close();
    const answer = await guard.claimPublishing('key', publishing('a'));
    expect(answer).to.have.property('cause').that.is.instanceOf(ClosedError);
    expect(await guard.renew('key', publishing('a'), 1)).to.equal('unknown');
    const error = await guard.read('key').catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(LockUnavailableError);
  });
});
