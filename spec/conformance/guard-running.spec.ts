import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import type { Holder } from '../../lib/guard.js';
import { expectHeld, fences, freshKey, GRANTED, overGuards, running } from '../support/guards.js';

overGuards((bed) => {
  describe('claims for running', () => {
    it('take a free key', async () => {
      const { fence } = await bed.run('a', { seq: 77 });
      const { deadline, ...rest } = await bed.record();
      expect(deadline - systemClock.now()).to.be.within(14_000, 15_100);
      expect(rest).to.include({ owner: 'a', phase: 'running', nonce: 'nonce', copy: 'copy', fence, seq: 77 });
    });

    it('take over from the same task publishing or queued, and clear its expiry', async () => {
      await bed.publish('a');
      await bed.run('a');
      bed.key = freshKey();
      await bed.queue('a', { expires: 5e12 });
      await bed.run('a');
      expect((await bed.record()).expires).to.equal(0);
    });

    it('take over an expired run of the same task', async () => {
      await bed.run('a', { lease: 0 });
      await bed.run('a', { nonce: 'other' });
      expect((await bed.record()).nonce).to.equal('other');
    });

    it('take an expired key of another task', async () => {
      await bed.queue('a', {}, 0);
      await bed.run('b');
    });

    it('are granted again to the same nonce, with a new fence', async () => {
      await bed.run('a');
      const { fence } = await bed.run('a');
      expect((await bed.record()).fence).to.equal(fence);
    });

    it('need a higher fence and a sane clock', async () => {
      const { fence } = await bed.run('a', { lease: 0 });
      expect(await bed.guard.claimRunning(bed.key, running('b', { fence }))).to.deep.equal({
        outcome: 'fence',
        highest: fence,
      });
      const far = await bed.guard.claimRunning(bed.key, running('b', { fence: fence + 400e6 }));
      expect(far.outcome).to.equal('clock');
    });

    it('of the same copy stop the earlier attempt and wait out its lease', async () => {
      const first = await bed.run('a');
      const answer = await bed.guard.claimRunning(bed.key, running('a', { nonce: 'second' }));
      const left = expectHeld(answer, { owner: 'a', phase: 'running', fence: first.fence, seq: 0 }, 'same-copy');
      expect(left).to.be.within(14_000, 15_000);
      expect(await bed.guard.renew(bed.key, first, 15_000)).to.equal('lost');
      expect((await bed.record()).nonce).to.equal('nonce');
    });

    it('of another copy leave the earlier attempt alone', async () => {
      const first = await bed.run('a');
      const answer = await bed.guard.claimRunning(bed.key, running('a', { nonce: 'second', copy: 'another' }));
      expectHeld(answer, { owner: 'a', phase: 'running', fence: first.fence, seq: 0 }, 'other-copy');
      expect(await bed.guard.renew(bed.key, first, 15_000)).to.equal('ok');
    });

    it('are refused when another task holds the key, in every phase', async () => {
      const { fence } = await bed.publish('a');
      const refused = async (phase: Holder['phase'], of: number, seq: number): Promise<unknown> =>
        expectHeld(await bed.guard.claimRunning(bed.key, running('b')), { owner: 'a', phase, fence: of, seq });
      await refused('publishing', fence, fence);
      await bed.guard.confirm(bed.key, { owner: 'a', fence }, 60_000);
      await refused('queued', fence, fence);
      const runs = await bed.run('a', { seq: fence });
      await refused('running', runs.fence, fence);
      await bed.keep();
      await refused('kept', runs.fence, fence);
    });

    it('need a fence above the sequence of their own message', async () => {
      const seq = fences.next();
      const answer = await bed.guard.claimRunning(bed.key, running('a', { fence: seq, seq }));
      expect(answer).to.deep.equal({ outcome: 'fence', highest: seq });
    });

    it('take a sequence from the future for none: it would cover whatever comes after it', async () => {
      await bed.run('a', { seq: fences.next() + 400e6, strategy: 'coalesce' });
      expect((await bed.record()).seq).to.equal(0);
      const offer = { args: '[2]' };
      const refused = running('b', { seq: fences.next() + 400e6, strategy: 'coalesce', offer });
      expect(await bed.guard.claimRunning(bed.key, refused)).to.include({ outcome: 'held', offered: false });
      expect((await bed.record()).mark).to.equal(undefined);
    });

    it('move the expiry of a waiting holder to theirs when that is later', async () => {
      await bed.queue('a', { expires: 5e12 });
      await bed.guard.claimRunning(bed.key, running('b', { expires: 4e12 }));
      expect((await bed.record()).expires).to.equal(5e12);
      await bed.guard.claimRunning(bed.key, running('b', { expires: 6e12 }));
      expect((await bed.record()).expires).to.equal(6e12);
      await bed.guard.claimRunning(bed.key, running('b'));
      expect((await bed.record()).expires).to.equal(0);
    });

    it('clear the stop of the attempt before', async () => {
      await bed.run('a');
      await bed.guard.claimRunning(bed.key, running('a', { nonce: 'second' }));
      const again = await bed.run('a');
      expect(await bed.guard.renew(bed.key, again, 15_000)).to.equal('ok');
    });
  });

  describe('offers of a worker', () => {
    const offer = { args: '[1]' };
    const base = fences.next();

    it('replace the arguments of a waiting holder by their own sequence', async () => {
      const { fence } = await bed.queue('a', { expires: 5e12 });
      const answer = await bed.guard.claimRunning(bed.key, running('b', { seq: fence + 5, offer }));
      expectHeld(answer, { owner: 'a', phase: 'queued', fence, seq: fence + 5 }, undefined, true);
      const { args, expires } = await bed.record();
      expect([args, expires]).to.deep.equal([{ seq: fence + 5, args: '[1]' }, 0]);
    });

    it('mark a running holder by their own sequence, even one below its fence', async () => {
      const { fence } = await bed.run('a', { seq: base });
      const answer = await bed.guard.claimRunning(bed.key, running('b', { seq: base + 1, offer }));
      expectHeld(answer, { owner: 'a', phase: 'running', fence, seq: base + 1 }, undefined, true);
      expect((await bed.record()).mark).to.deep.equal({ seq: base + 1, args: '[1]' });
    });

    it('are left when the holder carries newer arguments, or they have no sequence', async () => {
      const { fence } = await bed.run('a', { seq: base });
      const holder = { owner: 'a', phase: 'running', fence, seq: base } as const;
      expectHeld(await bed.guard.claimRunning(bed.key, running('b', { seq: base, offer })), holder);
      expectHeld(await bed.guard.claimRunning(bed.key, running('b', { offer })), holder);
      await bed.guard.claimRunning(bed.key, running('b', { seq: base + 9, offer }));
      const below = await bed.guard.claimRunning(bed.key, running('c', { seq: base + 8, offer }));
      expectHeld(below, { ...holder, seq: base + 9 });
      expect((await bed.record()).mark?.seq).to.equal(base + 9);
    });
  });

  describe('done', () => {
    /** Runs `a` with the sequence `seq` to a good end; returns the fence of the run. */
    async function finish(seq: number, dead = false): Promise<number> {
      const identity = await bed.run('a', { seq });
      expect(await bed.guard.release(bed.key, identity, { seq, dead })).to.equal('ok');
      return identity.fence;
    }
    const base = fences.next();

    it('covers under discard each message enqueued before the run began', async () => {
      const fence = await finish(base);
      const claim = (owner: string, seq: number) => bed.guard.claimRunning(bed.key, running(owner, { seq }));
      expect(await claim('a', base)).to.deep.equal({ outcome: 'done', id: 'a', own: true, dead: false });
      expect(await claim('b', fence - 1)).to.deep.equal({ outcome: 'done', id: 'a', own: false, dead: false });
      expect(await claim('b', fence)).to.deep.equal(GRANTED);
    });

    it('covers under coalesce each message whose arguments are not newer', async () => {
      await finish(base + 5);
      const claim = (seq: number) => bed.guard.claimRunning(bed.key, running('b', { seq, strategy: 'coalesce' }));
      expect(await claim(base + 5)).to.deep.equal({ outcome: 'done', id: 'a', own: false, dead: false });
      expect(await claim(base + 6)).to.deep.equal(GRANTED);
    });

    it('covers by id under requeue', async () => {
      await finish(base);
      const claim = (owner: string) =>
        bed.guard.claimRunning(bed.key, running(owner, { seq: base, strategy: 'requeue' }));
      expect(await claim('a')).to.deep.equal({ outcome: 'done', id: 'a', own: true, dead: false });
      expect(await claim('b')).to.deep.equal(GRANTED);
    });

    it('covers by id a message without a sequence', async () => {
      await finish(base);
      for (const strategy of ['discard', 'coalesce', 'requeue'] as const) {
        const claim = running('a', { strategy });
        expect(await bed.guard.claimRunning(bed.key, claim)).to.deep.equal({
          outcome: 'done',
          id: 'a',
          own: true,
          dead: false,
        });
        await bed.run('b', { strategy, lease: 0 });
      }
    });

    it('is seen before the holder is', async () => {
      await finish(base);
      await bed.queue('b');
      expect((await bed.guard.claimRunning(bed.key, running('a', { seq: base }))).outcome).to.equal('done');
    });

    // done [rare]: of three nodes one had released the run, the others were marked
    it('of its own is not looked at by a re-run, which clears it', async () => {
      for (const strategy of ['discard', 'coalesce', 'requeue'] as const) {
        bed.key = freshKey();
        await finish(base);
        await bed.run('a', { seq: base, strategy, rerun: true });
        expect((await bed.record()).done).to.equal(undefined);
      }
    });

    // The key was lost between the two runs: another's run has taken the arguments that the re-run was for.
    it('of another covers a re-run, too, and is left when it does not', async () => {
      const fence = await finish(base);
      const rerun = { seq: base, strategy: 'coalesce', nonce: 'y', rerun: true } as const;
      expect((await bed.guard.claimRunning(bed.key, running('b', rerun))).outcome).to.equal('done');
      await bed.run('b', { ...rerun, seq: base + 1 });
      expect((await bed.record()).done).to.include({ id: 'a', fence });
    });

    it('is what a kept key of the same task answers, without a word about others', async () => {
      await bed.run('a');
      await bed.keep();
      expect(await bed.guard.claimRunning(bed.key, running('a', { nonce: 'x' }))).to.deep.equal({
        outcome: 'done',
        id: 'a',
        own: true,
        dead: false,
      });
    });

    it('tells a good end from the dead letters', async () => {
      const good = await finish(base);
      expect((await bed.record()).done).to.deep.equal({ fence: good, seq: base, id: 'a', dead: false });
      bed.key = freshKey();
      const dead = await finish(base, true);
      const again = await bed.guard.claimRunning(bed.key, running('a', { seq: base }));
      expect(again).to.deep.equal({ outcome: 'done', id: 'a', own: true, dead: true });
      expect((await bed.record()).done).to.deep.equal({ fence: dead, seq: base, id: 'a', dead: true });
    });

    it('outlives the claims of others', async () => {
      const fence = await finish(base);
      await bed.queue('b');
      expect((await bed.record()).done?.fence).to.equal(fence);
    });
  });
});
