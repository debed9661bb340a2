import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import { eventually } from '../support/eventually.js';
import { fences, freshKey, overGuards, publishing, running } from '../support/guards.js';

overGuards((bed) => {
  describe('renew', () => {
    it('moves the deadline, also after it passed while nobody took the key', async () => {
      const identity = await bed.run('a', { lease: 0 });
      expect(await bed.guard.renew(bed.key, identity, 20_000)).to.equal('ok');
      expect((await bed.record()).deadline - systemClock.now()).to.be.within(19_000, 20_100);
    });

    it('is lost with another identity, in another phase or without a record, and creates none', async () => {
      const identity = await bed.run('a');
      expect(await bed.guard.renew(bed.key, { ...identity, fence: identity.fence - 1 }, 5000)).to.equal('lost');
      expect(await bed.guard.renew(bed.key, { ...identity, owner: 'b' }, 5000)).to.equal('lost');
      await bed.guard.hold(bed.key, identity, 5000);
      expect(await bed.guard.renew(bed.key, identity, 5000)).to.equal('lost');
      bed.key = freshKey();
      expect(await bed.guard.renew(bed.key, identity, 5000)).to.equal('lost');
      expect(await bed.guard.read(bed.key)).to.equal(undefined);
    });
  });

  describe('hold', () => {
    it('turns running into queued for the ttl, and its mark into the key’s arguments', async () => {
      const identity = await bed.run('a', { seq: 5 });
      const claim = publishing('b', { offer: { args: '[2]' } });
      await bed.guard.claimPublishing(bed.key, claim);
      expect(await bed.guard.hold(bed.key, identity, 30_000)).to.equal('ok');
      const { deadline, ...rest } = await bed.record();
      expect(deadline - systemClock.now()).to.be.within(29_000, 30_100);
      expect(rest).to.include({ phase: 'queued', nonce: undefined, mark: undefined, fence: identity.fence, seq: 5 });
      expect(rest.args).to.deep.equal({ seq: claim.fence, args: '[2]' });
    });

    it('works for a stopped run, and takes the stop away', async () => {
      const identity = await bed.run('a');
      await bed.guard.claimRunning(bed.key, running('a', { nonce: 'second' }));
      expect(await bed.guard.hold(bed.key, identity, 5000)).to.equal('ok');
      expect((await bed.record()).stop).to.equal(false);
    });

    it('repeated is fine', async () => {
      const identity = await bed.run('a');
      await bed.guard.hold(bed.key, identity, 5000);
      expect(await bed.guard.hold(bed.key, identity, 5000)).to.equal('ok');
    });

    it('is lost with another identity or while publishing', async () => {
      const identity = await bed.publish('a');
      expect(await bed.guard.hold(bed.key, identity, 5000)).to.equal('lost');
      const runs = await bed.run('a');
      expect(await bed.guard.hold(bed.key, identity, 5000)).to.equal('lost');
      expect(await bed.guard.hold(bed.key, { ...runs, owner: 'b' }, 5000)).to.equal('lost');
    });
  });

  describe('release', () => {
    it('frees the key at once and keeps the fence', async () => {
      const { fence } = await bed.run('a', { seq: 5 });
      expect(await bed.guard.release(bed.key, { owner: 'a', fence }, { seq: 5, dead: false })).to.equal('ok');
      const { done, ...rest } = await bed.record();
      expect(done?.id).to.equal('a');
      expect(rest).to.include({
        owner: undefined,
        nonce: undefined,
        phase: undefined,
        copy: undefined,
        seq: 0,
        deadline: 0,
      });
      expect(rest.fence).to.equal(fence);
      await bed.publish('b');
    });

    it('remembers the largest sequence, though a run without one came after it, well or dead', async () => {
      const later = { strategy: 'coalesce', seq: 5 } as const;
      await bed.guard.release(bed.key, await bed.run('a', { seq: 5 }), { seq: 5, dead: false });
      for (const [id, dead] of [['b', false] as const, ['c', true] as const]) {
        await bed.guard.release(bed.key, await bed.run(id), { seq: 0, dead });
        expect((await bed.record()).done).to.include({ id, seq: 5, dead });
        expect(await bed.guard.claimRunning(bed.key, running('late', later))).to.include({ outcome: 'done', id });
      }
      expect((await bed.guard.claimRunning(bed.key, running('later', { ...later, seq: 6 }))).outcome).to.equal(
        'granted',
      );
    });

    it('works for a stopped run and after the deadline while nobody took the key', async () => {
      const identity = await bed.run('a');
      await bed.guard.claimRunning(bed.key, running('a', { nonce: 'second' }));
      expect(await bed.guard.release(bed.key, identity, { seq: 0, dead: false })).to.equal('ok');
      bed.key = freshKey();
      expect(await bed.guard.release(bed.key, await bed.run('a', { lease: 0 }), { seq: 0, dead: false })).to.equal(
        'ok',
      );
    });

    it('of a marked run is refused; the re-run takes the mark, then it succeeds', async () => {
      const first = await bed.run('a', { seq: 5 });
      const claim = publishing('b', { offer: { args: '[2]' } });
      await bed.guard.claimPublishing(bed.key, claim);
      expect(await bed.guard.release(bed.key, first, { seq: 5, dead: false })).to.equal('marked');
      expect((await bed.record()).owner).to.equal('a');
      const again = await bed.run('a', { seq: 5, rerun: true });
      const { args, mark, seq } = await bed.record();
      expect([args, mark, seq]).to.deep.equal([{ seq: claim.fence, args: '[2]' }, undefined, claim.fence]);
      expect(await bed.guard.release(bed.key, first, { seq: 5, dead: false })).to.equal('lost');
      expect(await bed.guard.release(bed.key, again, { seq: claim.fence, dead: false })).to.equal('ok');
      expect((await bed.record()).args).to.equal(undefined);
    });

    it('leaves arguments that are newer than those it ran with, and those of a dead letter', async () => {
      await bed.queue('a');
      const claim = publishing('b', { offer: { args: '[2]' } });
      await bed.guard.claimPublishing(bed.key, claim);
      await bed.guard.release(bed.key, await bed.run('a'), { seq: claim.fence - 1, dead: false });
      expect((await bed.record()).args?.seq).to.equal(claim.fence);
      await bed.guard.release(bed.key, await bed.run('c'), { seq: claim.fence, dead: true });
      expect((await bed.record()).args?.seq).to.equal(claim.fence);
      await bed.guard.release(bed.key, await bed.run('d'), { seq: claim.fence, dead: false });
      expect((await bed.record()).args).to.equal(undefined);
    });

    it('keeps the key after a good end when it is asked to, and not after a dead letter', async () => {
      const identity = await bed.run('a', { seq: 5 });
      const end = { seq: 5, dead: false, keep: 30_000 };
      expect(await bed.guard.release(bed.key, identity, end)).to.equal('ok');
      expect(await bed.guard.release(bed.key, identity, end)).to.equal('ok');
      const { owner, phase, deadline, done, nonce } = await bed.record();
      expect([owner, phase, nonce, done?.id]).to.deep.equal(['a', 'kept', undefined, 'a']);
      expect(deadline - systemClock.now()).to.be.within(29_000, 30_100);
      const refused = await bed.guard.claimPublishing(bed.key, publishing('b', { offer: { args: '[2]' } }));
      expect(refused).to.have.nested.property('holder.phase', 'kept');
      expect(refused).to.have.property('offered', false);
      expect((await bed.guard.claimRunning(bed.key, running('a', { seq: 5 }))).outcome).to.equal('done');
      expect(await bed.guard.renew(bed.key, identity, 5000)).to.equal('lost');
      bed.key = freshKey();
      await bed.guard.release(bed.key, await bed.run('a'), { seq: 0, dead: true, keep: 30_000 });
      expect((await bed.record()).phase).to.equal(undefined);
    });

    it('of a kept key that is over leaves it to the next', async () => {
      await bed.guard.release(bed.key, await bed.run('a'), { seq: 0, dead: false, keep: 1 });
      await eventually(() => bed.publish('b'));
    });

    it('repeated is fine, also when the next task has the key', async () => {
      const identity = await bed.run('a');
      await bed.guard.release(bed.key, identity, { seq: 0, dead: false });
      expect(await bed.guard.release(bed.key, identity, { seq: 0, dead: false })).to.equal('ok');
      await bed.run('b');
      expect(await bed.guard.release(bed.key, identity, { seq: 0, dead: false })).to.equal('ok');
      expect((await bed.record()).owner).to.equal('b');
      const other = { ...identity, fence: identity.fence - 1 };
      expect(await bed.guard.release(bed.key, other, { seq: 0, dead: false })).to.equal('lost');
    });

    it('is lost with another identity, in another phase or without a record', async () => {
      const identity = await bed.queue('a');
      const end = { seq: 0, dead: false };
      expect(await bed.guard.release(bed.key, identity, end)).to.equal('lost');
      const runs = await bed.run('a');
      expect(await bed.guard.release(bed.key, identity, end)).to.equal('lost');
      expect(await bed.guard.release(bed.key, { ...runs, owner: 'b' }, end)).to.equal('lost');
      bed.key = freshKey();
      expect(await bed.guard.release(bed.key, runs, end)).to.equal('lost');
      expect(await bed.guard.read(bed.key)).to.equal(undefined);
    });

    it('keeps the floor that was raised meanwhile', async () => {
      const { fence } = await bed.run('a');
      await bed.guard.abandon(bed.key, { owner: 'b', fence: fence + 100 });
      await bed.guard.release(bed.key, { owner: 'a', fence }, { seq: 0, dead: false });
      const { floor, fence: rest } = await bed.record();
      expect([rest, floor]).to.deep.equal([fence + 100, 0]);
    });

    it('that keeps the key keeps its fence, too, for a floor may differ from node to node', async () => {
      const { fence } = await bed.run('a');
      await bed.guard.abandon(bed.key, { owner: 'b', fence: fence + 100 });
      await bed.guard.release(bed.key, { owner: 'a', fence }, { seq: 0, dead: false, keep: 30_000 });
      const { floor, fence: kept } = await bed.record();
      expect([kept, floor]).to.deep.equal([fence, fence + 100]);
    });
  });

  describe('abandon', () => {
    it('frees exactly this identity, in whatever phase', async () => {
      for (const take of [bed.publish, bed.queue, bed.run]) {
        bed.key = freshKey();
        expect(await bed.guard.abandon(bed.key, await take('a'))).to.equal('ok');
        const { owner, phase, done } = await bed.record();
        expect([owner, phase, done]).to.deep.equal([undefined, undefined, undefined]);
      }
    });

    // Both had seen the same highest fence, and proposed the next: one was granted, the other is undecided.
    it('leaves the run of another attempt of the same task with the same fence', async () => {
      const { owner, fence } = await bed.run('a', { nonce: 'one' });
      expect(await bed.guard.abandon(bed.key, { owner, fence, nonce: 'other' })).to.equal('ok');
      expect(await bed.record()).to.include({ owner: 'a', phase: 'running', fence });
      expect(await bed.guard.abandon(bed.key, { owner, fence, nonce: 'one' })).to.equal('ok');
      expect((await bed.record()).owner).to.equal(undefined);
    });

    it('leaves done alone and writes none', async () => {
      await bed.guard.release(bed.key, await bed.run('a'), { seq: 3, dead: false });
      await bed.guard.abandon(bed.key, await bed.run('b'));
      expect((await bed.record()).done?.id).to.equal('a');
    });

    it('moves a mark into the key’s arguments', async () => {
      const identity = await bed.run('a');
      const claim = publishing('b', { offer: { args: '[2]' } });
      await bed.guard.claimPublishing(bed.key, claim);
      await bed.guard.abandon(bed.key, identity);
      expect((await bed.record()).args).to.deep.equal({ seq: claim.fence, args: '[2]' });
    });

    it('refuses its late claims even when it freed nothing', async () => {
      const late = publishing('a');
      expect(await bed.guard.abandon(bed.key, late)).to.equal('ok');
      expect(await bed.guard.claimPublishing(bed.key, late)).to.deep.equal({ outcome: 'fence', highest: late.fence });
      expect(await bed.guard.claimRunning(bed.key, running('a', { fence: late.fence }))).to.deep.equal({
        outcome: 'fence',
        highest: late.fence,
      });
    });

    it('raises the floor under another holder and leaves it', async () => {
      const identity = await bed.run('a');
      const late = running('b');
      expect(await bed.guard.abandon(bed.key, late)).to.equal('ok');
      expect((await bed.record()).floor).to.equal(late.fence);
      expect(await bed.guard.renew(bed.key, identity, 0)).to.equal('ok');
      expect(await bed.guard.claimRunning(bed.key, late)).to.deep.equal({ outcome: 'fence', highest: late.fence });
    });

    it('of an older claim does not free the same owner’s newer one', async () => {
      const first = await bed.publish('a');
      await bed.publish('a');
      await bed.guard.abandon(bed.key, first);
      expect((await bed.record()).owner).to.equal('a');
    });

    it('never lowers the fence', async () => {
      const { fence } = await bed.run('a');
      await bed.guard.abandon(bed.key, { owner: 'a', fence });
      await bed.guard.abandon(bed.key, { owner: 'z', fence: fence - 50 });
      expect((await bed.record()).fence).to.equal(fence);
    });

    it('of a fence far ahead does not lock everybody else out', async () => {
      await bed.guard.abandon(bed.key, { owner: 'a', fence: fences.next() + 900e6 });
      const answer = await bed.guard.claimPublishing(bed.key, publishing('b'));
      if (answer.outcome !== 'fence') expect.fail(answer.outcome);
      await bed.publish('b', { fence: answer.highest + 1 });
    });
  });
});
