import { expect } from 'chai';
import { overGuards, publishing, running } from '../support/guards.js';

const offer = { args: '[[2],{}]' };

overGuards((bed) => {
  describe('the newest arguments', () => {
    it('are none without a record, and in a record that keeps none', async () => {
      expect(await bed.guard.newest(bed.key, { owner: 'a', fence: 1 })).to.equal('none');
      expect(await bed.guard.newest(bed.key, await bed.run('a'))).to.equal('none');
    });

    it('are those that a waiting holder took, once it runs', async () => {
      await bed.queue('a');
      const claim = publishing('b', { offer });
      await bed.guard.claimPublishing(bed.key, claim);
      expect(await bed.guard.newest(bed.key, await bed.run('a'))).to.deep.equal({ seq: claim.fence, ...offer });
    });

    it('are without the mark beside the very run that asks, for that will refuse its release', async () => {
      const run = await bed.run('a');
      const claim = publishing('b', { offer });
      await bed.guard.claimPublishing(bed.key, claim);
      expect(await bed.guard.newest(bed.key, run)).to.equal('none');
      const again = await bed.run('a', { rerun: true });
      expect(await bed.guard.newest(bed.key, again)).to.deep.equal({ seq: claim.fence, ...offer });
    });

    it('are a mark that stands beside another run: one of another node’s, say', async () => {
      const run = await bed.run('a');
      const claim = publishing('b', { offer });
      await bed.guard.claimPublishing(bed.key, claim);
      const other = { owner: 'a', fence: run.fence + 1 };
      expect(await bed.guard.newest(bed.key, other)).to.deep.equal({ seq: claim.fence, ...offer });
    });

    it('are those of the mark after a hold', async () => {
      const run = await bed.run('a', { seq: 5 });
      const claim = publishing('b', { offer });
      await bed.guard.claimPublishing(bed.key, claim);
      await bed.guard.hold(bed.key, run, 5000);
      expect(await bed.guard.newest(bed.key, run)).to.deep.equal({ seq: claim.fence, ...offer });
    });

    it('are what a refused message brought under its own sequence', async () => {
      const seq = publishing('b').fence;
      const run = await bed.run('a');
      await bed.guard.claimRunning(bed.key, running('b', { seq, strategy: 'coalesce', offer }));
      await bed.guard.hold(bed.key, run, 5000);
      expect(await bed.guard.newest(bed.key, run)).to.deep.equal({ seq, ...offer });
    });
  });
});
