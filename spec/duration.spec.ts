import { expect } from 'chai';
import { inspect } from 'node:util';
import { duration } from '../lib/duration.js';
import { ConfigError } from '../lib/errors.js';

describe('duration', () => {
  it('takes milliseconds and the strings of ms', () => {
    expect(duration(1500, 'ttl')).to.equal(1500);
    expect(duration('10m', 'ttl')).to.equal(600_000);
    expect(duration('1.5s', 'ttl')).to.equal(1500);
    expect(duration('250', 'ttl')).to.equal(250);
    expect(duration(0, 'ttl')).to.equal(0);
  });

  for (const value of ['', 'soon', '10 parsecs', -1, '-5s', Number.NaN, Infinity, null, true, {}, 'x'.repeat(200)]) {
    it(`refuses ${inspect(value).slice(0, 20)} (${typeof value}) and names the option`, () => {
      expect(() => duration(value, 'the ttl')).to.throw(ConfigError, /the ttl is .*duration/);
    });
  }

  it('refuses what is shorter than the least', () => {
    expect(() => duration(99, 'the lease', 100)).to.throw(ConfigError, 'at least 100 ms');
    expect(duration('100ms', 'the lease', 100)).to.equal(100);
  });
});
