import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import { eventually } from '../support/eventually.js';
import { expectHeld, fences, freshKey, overGuards, publishing, running } from '../support/guards.js';

overGuards((bed) => {
  describe('claims for publishing', () => {
    it('take a free key, with the fence as the sequence of the arguments', async () => {
      const { fence } = await bed.publish('a', { expires: 7e12 });
      const { owner, phase, seq, expires, deadline, ...rest } = await bed.record();
      expect([owner, phase, seq, expires]).to.deep.equal(['a', 'publishing', fence, 7e12]);
      expect(rest.fence).to.equal(fence);
      expect(deadline - systemClock.now()).to.be.within(4000, 5100);
      expect([rest.args, rest.mark, rest.stop, rest.floor, rest.done]).to.deep.equal([
        undefined,
        undefined,
        false,
        0,
        undefined,
      ]);
    });

    it('are refused with the holder, its phase, fence, sequence and time left', async () => {
      const { fence } = await bed.publish('a/1 ü%');
      const left = expectHeld(await bed.guard.claimPublishing(bed.key, publishing('b')), {
        owner: 'a/1 ü%',
        phase: 'publishing',
        fence,
        seq: fence,
      });
      expect(left).to.be.within(4000, 5000);
    });

    it('leave the key as it was when they are refused', async () => {
      await bed.queue('a');
      const before = await bed.record();
      await bed.guard.claimPublishing(bed.key, publishing('b'));
      expect(await bed.record()).to.deep.equal(before);
    });

    it('are granted again to the same owner while it publishes, with the new fence', async () => {
      await bed.publish('a');
      const { fence } = await bed.publish('a');
      expect((await bed.record()).fence).to.equal(fence);
    });

    it('are refused to the same owner once it is queued', async () => {
      const { fence } = await bed.queue('a');
      const answer = await bed.guard.claimPublishing(bed.key, publishing('a'));
      expectHeld(answer, { owner: 'a', phase: 'queued', fence, seq: fence }, 'other-copy');
    });

    it('take a key whose deadline has passed', async () => {
      await bed.publish('a', { window: 0 });
      await bed.publish('b');
      expect((await bed.record()).owner).to.equal('b');
    });

    it('clear what an expired run left: nonce, copy, stop', async () => {
      await bed.run('a', { lease: 100 });
      await bed.guard.claimRunning(bed.key, running('a', { nonce: 'other' }));
      expect((await bed.record()).stop).to.equal(true);
      await eventually(() => bed.publish('b'));
      const { nonce, copy, stop } = await bed.record();
      expect([nonce, copy, stop]).to.deep.equal([undefined, undefined, false]);
    });

    it('move the mark of an expired run into the arguments of the key', async () => {
      const identity = await bed.run('a');
      const claim = publishing('b', { offer: { args: '[2]' } });
      await bed.guard.claimPublishing(bed.key, claim);
      await bed.guard.renew(bed.key, identity, 0);
      await bed.publish('c');
      const { args, mark } = await bed.record();
      expect([args, mark]).to.deep.equal([{ seq: claim.fence, args: '[2]' }, undefined]);
    });

    it('need a fence above the record and say which', async () => {
      const { fence } = await bed.publish('a', { window: 0 });
      expect(await bed.guard.claimPublishing(bed.key, publishing('b', { fence }))).to.deep.equal({
        outcome: 'fence',
        highest: fence,
      });
      expect((await bed.record()).owner).to.equal('a');
      await bed.publish('b', { fence: fence + 1 });
    });

    it('count the fence of the last run, the floor, the arguments and the mark as the highest', async () => {
      const base = fences.next();
      const refused = async (highest: number): Promise<void> =>
        expect(await bed.guard.claimPublishing(bed.key, publishing('z', { fence: highest }))).to.deep.equal({
          outcome: 'fence',
          highest,
        }) as never;
      await bed.queue('a', { fence: base });
      await bed.guard.claimPublishing(bed.key, publishing('b', { fence: base + 10, offer: { args: '[1]' } }));
      expect(
        await bed.guard.claimPublishing(bed.key, publishing('c', { fence: base + 10, offer: { args: '[]' } })),
      ).to.deep.equal({ outcome: 'fence', highest: base + 10 });
      await bed.run('a', { fence: base + 11, lease: 60_000 });
      await bed.guard.claimPublishing(bed.key, publishing('b', { fence: base + 20, offer: { args: '[2]' } }));
      await bed.guard.renew(bed.key, { owner: 'a', fence: base + 11 }, 0);
      await refused(base + 20);
      await bed.guard.abandon(bed.key, { owner: 'b', fence: base + 30 });
      await refused(base + 30);
      await bed.guard.abandon(bed.key, { owner: 'a', fence: base + 11 });
      await refused(base + 30);
    });

    it('refuse a fence of a clock far behind with one that the next proposal can pass', async () => {
      const answer = await bed.guard.claimPublishing(bed.key, publishing('a', { fence: 5 }));
      if (answer.outcome !== 'fence') expect.fail(answer.outcome);
      expect(answer.highest / 1000).to.be.closeTo(systemClock.now(), 2000);
      await bed.publish('a', { fence: answer.highest + 1 });
    });

    it('refuse a fence of a clock far ahead and say how far', async () => {
      const answer = await bed.guard.claimPublishing(bed.key, publishing('a', { fence: fences.next() + 400e6 }));
      if (answer.outcome !== 'clock') expect.fail(answer.outcome);
      expect(answer.skew).to.be.closeTo(400_000, 2000);
      await bed.publish('a', { fence: fences.next() + 290e6 });
    });

    it('move the expiry of a waiting holder to a later one, never to an earlier', async () => {
      await bed.queue('a', { expires: 5e12 });
      await bed.guard.claimPublishing(bed.key, publishing('b', { expires: 4e12 }));
      expect((await bed.record()).expires).to.equal(5e12);
      await bed.guard.claimPublishing(bed.key, publishing('b', { expires: 6e12 }));
      expect((await bed.record()).expires).to.equal(6e12);
      await bed.guard.claimPublishing(bed.key, publishing('b', { expires: 0 }));
      expect((await bed.record()).expires).to.equal(0);
      await bed.guard.claimPublishing(bed.key, publishing('b', { expires: 6e12 }));
      expect((await bed.record()).expires).to.equal(0);
    });

    it('leave the expiry of a publishing holder', async () => {
      await bed.publish('a', { expires: 5e12 });
      await bed.guard.claimPublishing(bed.key, publishing('b', { expires: 6e12 }));
      expect((await bed.record()).expires).to.equal(5e12);
    });
  });

  describe('offers of a producer', () => {
    const offer = { args: '[["ü  2"],{}]' };

    it('replace the arguments of a waiting holder, which then may not expire', async () => {
      const { fence } = await bed.queue('a', { expires: 5e12 });
      const claim = publishing('b', { offer });
      expectHeld(
        await bed.guard.claimPublishing(bed.key, claim),
        { owner: 'a', phase: 'queued', fence, seq: claim.fence },
        undefined,
        true,
      );
      const { args, mark, expires } = await bed.record();
      expect([args, mark, expires]).to.deep.equal([{ seq: claim.fence, args: offer.args }, undefined, 0]);
    });

    it('mark a running holder', async () => {
      const { fence } = await bed.run('a');
      const claim = publishing('b', { offer });
      expectHeld(
        await bed.guard.claimPublishing(bed.key, claim),
        { owner: 'a', phase: 'running', fence, seq: claim.fence },
        undefined,
        true,
      );
      const { args, mark } = await bed.record();
      expect([args, mark]).to.deep.equal([undefined, { seq: claim.fence, args: offer.args }]);
    });

    it('are not taken while the holder publishes or is kept', async () => {
      const { fence } = await bed.publish('a');
      expectHeld(await bed.guard.claimPublishing(bed.key, publishing('b', { offer })), {
        owner: 'a',
        phase: 'publishing',
        fence,
        seq: fence,
      });
      await bed.keep();
      expectHeld(await bed.guard.claimPublishing(bed.key, publishing('b', { offer })), {
        owner: 'a',
        phase: 'kept',
        fence,
        seq: fence,
      });
      expect((await bed.record()).args).to.equal(undefined);
    });

    it('are taken from a caller who chose the holder’s own id, but not from a claim that comes late', async () => {
      const late = publishing('a', { offer });
      const { fence } = await bed.queue('a');
      expect((await bed.guard.claimPublishing(bed.key, late)).outcome).to.equal('fence');
      const claim = publishing('a', { offer });
      const answer = await bed.guard.claimPublishing(bed.key, claim);
      expectHeld(answer, { owner: 'a', phase: 'queued', fence, seq: claim.fence }, 'other-copy', true);
      expect((await bed.record()).args).to.deep.equal({ seq: claim.fence, args: offer.args });
    });

    it('need a fence above all that the record carries, and one of a sane clock', async () => {
      const { fence } = await bed.run('a');
      expect(await bed.guard.claimPublishing(bed.key, publishing('b', { fence, offer }))).to.deep.equal({
        outcome: 'fence',
        highest: fence,
      });
      const far = publishing('b', { fence: fence + 400e6, offer });
      expect((await bed.guard.claimPublishing(bed.key, far)).outcome).to.equal('clock');
      expect((await bed.record()).mark).to.equal(undefined);
    });

    it('stay with the key when its holder runs out, and keep the next holder from expiring', async () => {
      await bed.queue('a', {}, 60_000);
      const claim = publishing('b', { offer });
      await bed.guard.claimPublishing(bed.key, claim);
      await bed.run('a', { lease: 0 });
      await bed.publish('c', { expires: 5e12 });
      const { args, expires } = await bed.record();
      expect([args?.seq, expires]).to.deep.equal([claim.fence, 0]);
    });
  });

  describe('the publish window', () => {
    it('is extended for the identity that publishes', async () => {
      const identity = await bed.publish('a');
      expect(await bed.guard.extendPublishing(bed.key, identity, 50_000)).to.equal('ok');
      expect((await bed.record()).deadline - systemClock.now()).to.be.within(49_000, 50_100);
    });

    it('is extended after its deadline as long as nobody took the key', async () => {
      const identity = await bed.publish('a', { window: 0 });
      expect(await bed.guard.extendPublishing(bed.key, identity, 5000)).to.equal('ok');
    });

    it('is lost with another fence, another owner, in another phase or without a record', async () => {
      const identity = await bed.publish('a');
      expect(await bed.guard.extendPublishing(bed.key, { ...identity, fence: identity.fence + 1 }, 5000)).to.equal(
        'lost',
      );
      expect(await bed.guard.extendPublishing(bed.key, { ...identity, owner: 'b' }, 5000)).to.equal('lost');
      await bed.guard.confirm(bed.key, identity, 5000);
      expect(await bed.guard.extendPublishing(bed.key, identity, 5000)).to.equal('lost');
      bed.key = freshKey();
      expect(await bed.guard.extendPublishing(bed.key, identity, 5000)).to.equal('lost');
      expect(await bed.guard.read(bed.key)).to.equal(undefined);
    });
  });

  describe('confirm', () => {
    it('turns publishing into queued for the ttl', async () => {
      await bed.queue('a', {}, 90_000);
      const { phase, deadline } = await bed.record();
      expect(phase).to.equal('queued');
      expect(deadline - systemClock.now()).to.be.within(89_000, 90_100);
    });

    it('goes by the owner: an undecided claim may have been repeated with a new fence', async () => {
      const first = await bed.publish('a');
      await bed.publish('a');
      expect(await bed.guard.confirm(bed.key, first, 5000)).to.equal('ok');
    });

    it('repeated only lengthens the wait', async () => {
      const identity = await bed.queue('a', {}, 60_000);
      const { deadline } = await bed.record();
      expect(await bed.guard.confirm(bed.key, identity, 10)).to.equal('ok');
      expect((await bed.record()).deadline).to.equal(deadline);
      expect(await bed.guard.confirm(bed.key, identity, 90_000)).to.equal('ok');
      expect((await bed.record()).deadline).to.be.above(deadline + 20_000);
    });

    it('leaves a run that has already begun', async () => {
      const identity = await bed.publish('a');
      await bed.run('a');
      const before = await bed.record();
      expect(await bed.guard.confirm(bed.key, identity, 5000)).to.equal('ok');
      expect(await bed.record()).to.deep.equal(before);
    });

    it('is fine when the task has already run', async () => {
      const identity = await bed.publish('a');
      await bed.guard.release(bed.key, await bed.run('a'), { seq: 0, dead: false });
      expect(await bed.guard.confirm(bed.key, identity, 5000)).to.equal('ok');
      await bed.publish('b');
      expect(await bed.guard.confirm(bed.key, identity, 5000)).to.equal('ok');
      expect((await bed.record()).owner).to.equal('b');
    });

    it('is lost when somebody else took the key or the record is gone, and creates none', async () => {
      const identity = await bed.publish('a', { window: 0 });
      await bed.publish('b');
      expect(await bed.guard.confirm(bed.key, identity, 5000)).to.equal('lost');
      bed.key = freshKey();
      expect(await bed.guard.confirm(bed.key, identity, 5000)).to.equal('lost');
      expect(await bed.guard.read(bed.key)).to.equal(undefined);
    });
  });
});
