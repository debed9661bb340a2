import { expect } from 'chai';
import fc from 'fast-check';
import { ConfigError } from '../../lib/errors.js';
import { backoff, retryPolicy } from '../../lib/declarations/retry-policy.js';

const defaults = { attempts: 3, delay: 1000, factor: 2, maxDelay: 300_000, jitter: true };

describe('the retry option', () => {
  it('is three attempts with exponential delays when left out', () => {
    expect(retryPolicy(undefined, 'retry')).to.deep.equal(defaults);
  });

  it('takes a number for the attempts; 0, 1 and false are one run', () => {
    expect(retryPolicy(5, 'retry')).to.deep.equal({ ...defaults, attempts: 5 });
    for (const value of [0, 1, false, { attempts: 0 }]) expect(retryPolicy(value, 'retry').attempts).to.equal(1);
  });

  it('takes durations in its fields and keeps the other defaults', () => {
    expect(retryPolicy({ delay: '5s', maxDelay: '1m' }, 'retry')).to.deep.equal({
      ...defaults,
      delay: 5000,
      maxDelay: 60_000,
    });
  });

  it('raises the default bound for a longer delay, and refuses a written one below the delay', () => {
    expect(retryPolicy({ delay: '1h' }, 'retry').maxDelay).to.equal(3_600_000);
    expect(() => retryPolicy({ delay: '1h', maxDelay: '1m' }, 'retry')).to.throw(ConfigError, 'maxDelay');
  });

  for (const value of [
    -1,
    1.5,
    true,
    'often',
    null,
    [],
    { attempts: 'x' },
    { factor: 0.5 },
    { jitter: 1 },
    { delay: '' },
  ]) {
    it(`refuses ${JSON.stringify(value)}`, () => {
      expect(() => retryPolicy(value, 'S.m: retry')).to.throw(ConfigError, 'S.m: retry');
    });
  }

  it('refuses an unknown field and suggests the nearest', () => {
    expect(() => retryPolicy({ atempts: 3 }, 'retry')).to.throw(ConfigError, /'atempts'.*'attempts'.*maxDelay/);
  });
});

describe('backoff', () => {
  const policy = { ...defaults, jitter: false };

  it('grows by the factor up to its bound', () => {
    expect([1, 2, 3, 4].map((attempt) => backoff(policy, attempt, 0))).to.deep.equal([1000, 2000, 4000, 8000]);
    expect(backoff(policy, 10_000, 0)).to.equal(300_000);
  });

  it('is zero for ever when the delay is zero', () => {
    expect(backoff({ ...policy, delay: 0 }, 10_000, 0.5)).to.equal(0);
  });

  it('draws from the upper half with jitter', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (attempt, random) => {
          const full = backoff(policy, attempt, random);
          const drawn = backoff({ ...policy, jitter: true }, attempt, random);
          return drawn >= full / 2 && drawn <= full;
        },
      ),
    );
    expect(backoff(defaults, 1, 0)).to.equal(500);
    expect(backoff(defaults, 1, 0.9999)).to.equal(1000);
  });
});
