import { expect } from 'chai';
import { freshKey, overGuards } from '../support/guards.js';

// What a flood of duplicates asks before it claims: client rules 2 and 3 hold for a read as for a refusal.
overGuards((bed) => {
  describe('who waits', () => {
    it('is told with fence and time left, and nothing is written', async () => {
      const { fence } = await bed.queue('a b', {}, 60_000);
      const before = await bed.record();
      const holder = await bed.guard.waiting(bed.key);
      expect(holder).to.deep.include({ owner: 'a b', phase: 'queued', fence });
      expect(holder?.left).to.be.within(55_000, 60_000);
      expect(await bed.record()).to.deep.equal(before);
    });

    it('is nobody without a record, at rest, and while somebody publishes, runs or keeps the key', async () => {
      expect(await bed.guard.waiting(freshKey())).to.equal(undefined);
      await bed.publish('a');
      expect(await bed.guard.waiting(bed.key)).to.equal(undefined);
      const run = await bed.run('a');
      expect(await bed.guard.waiting(bed.key)).to.equal(undefined);
      await bed.keep();
      expect(await bed.guard.waiting(bed.key)).to.equal(undefined);
      bed.key = freshKey();
      await bed.guard.release(bed.key, await bed.run('a'), { seq: run.fence, dead: false });
      expect(await bed.guard.waiting(bed.key)).to.equal(undefined);
    });

    it('is nobody once its time is over, although the record remembers', async () => {
      await bed.queue('a', {}, 0);
      expect((await bed.record()).phase).to.equal('queued');
      expect(await bed.guard.waiting(bed.key)).to.equal(undefined);
    });

    it('is nobody while it may expire: who leans on it has to tell it so, by a claim', async () => {
      await bed.queue('a', { expires: 5e12 });
      expect(await bed.guard.waiting(bed.key)).to.equal(undefined);
    });
  });
});
