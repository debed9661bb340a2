import { expect } from 'chai';
import { systemClock, type Clock } from '../lib/clock.js';
import { FenceSource } from '../lib/fence.js';

describe('FenceSource', () => {
  const at = (now: number, random = 0): Clock => ({ ...systemClock, now: () => now, random: () => random });
  const NOW = 1_800_000_000_000;

  it('proposes the wall clock in µs with random digits below the millisecond', () => {
    expect(new FenceSource(at(NOW)).next()).to.equal(NOW * 1000);
    expect(new FenceSource(at(NOW, 0.999_999)).next()).to.equal(NOW * 1000 + 999);
  });

  it('always rises, also within a millisecond and when the clock jumps back', () => {
    let now = NOW;
    const fences = new FenceSource({ ...systemClock, now: () => now });
    const first = fences.next();
    expect(fences.next()).to.be.above(first);
    const last = fences.next();
    now -= 3_600_000;
    expect(fences.next()).to.equal(last + 1);
  });

  it('passes the highest fence that a refusal told', () => {
    const fences = new FenceSource(at(NOW));
    expect(fences.next(NOW * 1000 + 5_000_000)).to.equal(NOW * 1000 + 5_000_001);
    expect(fences.next()).to.equal(NOW * 1000 + 5_000_002);
  });

  it('stays a whole number of 16 digits', () => {
    const fence = new FenceSource(systemClock).next();
    expect(Number.isSafeInteger(fence)).to.equal(true);
    expect(String(fence)).to.have.lengthOf(16);
  });
});
