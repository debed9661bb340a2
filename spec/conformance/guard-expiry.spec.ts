import { expect } from 'chai';
import { overGuards, publishing, running } from '../support/guards.js';

const PAST = 1;
const FUTURE = 5e12;

overGuards((bed) => {
  describe('expire', () => {
    it('frees a key that waits for this very message, and whose time is over by the node’s clock', async () => {
      const { fence } = await bed.queue('a', { expires: PAST });
      expect(await bed.guard.expire(bed.key, 'a')).to.equal('ok');
      const { owner, phase, done, expires, fence: kept } = await bed.record();
      expect([owner, phase, done, expires, kept]).to.deep.equal([undefined, undefined, undefined, 0, fence]);
      await bed.publish('b');
    });

    it('frees it before the confirm came, which is then lost', async () => {
      const identity = await bed.publish('a', { expires: PAST });
      expect(await bed.guard.expire(bed.key, 'a')).to.equal('ok');
      expect(await bed.guard.confirm(bed.key, identity, 5000)).to.equal('lost');
    });

    it('finds nothing where nobody has the key, and creates no record', async () => {
      expect(await bed.guard.expire(bed.key, 'a')).to.equal('lost');
      expect(await bed.guard.read(bed.key)).to.equal(undefined);
      await bed.queue('a', { expires: PAST });
      await bed.guard.expire(bed.key, 'a');
      expect(await bed.guard.expire(bed.key, 'a')).to.equal('lost');
    });

    it('leaves a record whose time was moved, taken away, or never was', async () => {
      for (const expires of [FUTURE, 0]) {
        bed.key = `${bed.key}:${expires}`;
        await bed.queue('a', { expires: PAST });
        await bed.guard.claimPublishing(bed.key, publishing('b', { expires }));
        expect(await bed.guard.expire(bed.key, 'a')).to.equal('marked');
        expect((await bed.record()).owner).to.equal('a');
      }
    });

    it('leaves a run that began: running, waiting for a retry, or done', async () => {
      await bed.queue('a', { expires: PAST });
      const identity = await bed.run('a');
      expect(await bed.guard.expire(bed.key, 'a')).to.equal('marked');
      await bed.guard.hold(bed.key, identity, 5000);
      expect(await bed.guard.expire(bed.key, 'a')).to.equal('marked');
      const again = await bed.run('a');
      await bed.guard.release(bed.key, again, { seq: 0, dead: false });
      expect(await bed.guard.expire(bed.key, 'a')).to.equal('marked');
    });

    it('leaves another’s key, and arguments that nobody has run with', async () => {
      await bed.queue('b', { expires: PAST });
      expect(await bed.guard.expire(bed.key, 'a')).to.equal('marked');
      const identity = await bed.run('b');
      await bed.guard.claimPublishing(bed.key, publishing('c', { offer: { args: '[2]' } }));
      await bed.guard.abandon(bed.key, identity);
      expect((await bed.record()).owner).to.equal(undefined);
      expect(await bed.guard.expire(bed.key, 'b')).to.equal('marked');
      expect(await bed.guard.claimRunning(bed.key, running('b'))).to.deep.equal({ outcome: 'granted' });
    });
  });
});
