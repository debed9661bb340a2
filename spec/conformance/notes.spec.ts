import { expect } from 'chai';
import type { Guard } from 'solotask';
import { GUARDS, freshKey } from '../support/guards.js';
import { eventually } from '../support/eventually.js';

for (const [name, open] of Object.entries(GUARDS)) {
  describe(`notes: ${name}`, () => {
    let guard: Guard;
    let close: () => Promise<void>;
    let key: string;
    before(async () => {
      const bench = await open();
      guard = bench.guard;
      close = () => bench.close();
    });
    after(() => close());
    beforeEach(() => {
      key = freshKey();
    });

    it('tell a mark that was set from one that was not', async () => {
      expect(await guard.notes.marked(key)).to.equal(false);
      expect(await guard.notes.mark(key, 60_000)).to.equal(true);
      expect(await guard.notes.marked(key)).to.equal(true);
      expect(await guard.notes.marked(`${key}x`)).to.equal(false);
    });

    it('forget a mark when its time is over', async () => {
      await guard.notes.mark(key, 50);
      await eventually(async () => expect(await guard.notes.marked(key)).to.equal(false));
    });

    it('count', async () => {
      const counts = [];
      for (let i = 0; i < 3; i++) counts.push(await guard.notes.count(key, 60_000));
      expect(counts).to.deep.equal([1, 2, 3]);
      expect(await guard.notes.count(`${key}x`, 60_000)).to.equal(1);
    });

    it('begin again when they were told to forget, or the time is over since the last', async () => {
      await guard.notes.count(key, 60_000);
      await guard.notes.forget(key);
      expect(await guard.notes.count(key, 50)).to.equal(1);
      await eventually(async () => expect(await guard.notes.marked(key)).to.equal(false));
      expect(await guard.notes.count(key, 60_000)).to.equal(1);
    });
  });
}

describe('notes of a guard whose Redis is away', () => {
  it('answer that nobody knows, and reject nothing', async () => {
    const { createRedlockGuard } = await import('../../lib/guards/redlock.js');
    const { systemClock } = await import('../../lib/clock.js');
    const { notes, ...guard } = createRedlockGuard({ nodes: ['redis://127.0.0.1:1'], clock: systemClock });
    expect(guard).to.be.an('object');
    expect(await notes.mark('a', 1_000)).to.equal(false);
    expect(await notes.marked('a')).to.equal(undefined);
    expect(await notes.count('a', 1_000)).to.equal(undefined);
    await notes.forget('a');
  });
});
