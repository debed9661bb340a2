import { expect } from 'chai';
import { ConfigError } from '../lib/errors.js';
import { checkFlag, checkInteger, checkName, checkOptions, checkWord } from '../lib/options.js';

describe('options', () => {
  it('lists the known options when one is unknown, and suggests the nearest', () => {
    expect(() => checkOptions({ broker: 1, lock: 2 }, ['broker', 'locks'], 'createApp')).to.throw(
      ConfigError,
      "createApp has no option 'lock'; did you mean 'locks'? (options: broker, locks)",
    );
    expect(checkOptions({ locks: 1 }, ['broker', 'locks'], 'createApp')).to.deep.equal({ locks: 1 });
  });

  it('are an object', () => {
    for (const value of [null, undefined, 5, 'x', [], () => 1]) {
      expect(() => checkOptions(value, ['a'], 'it'), String(value)).to.throw(ConfigError, 'it takes an object');
    }
  });

  it('say what is wrong and what is right', () => {
    expect(() => checkFlag('no', 'the flag', true)).to.throw(ConfigError, "the flag is 'no'; it takes true or false");
    expect(() => checkInteger('5', 'n', 0, 9)).to.throw(ConfigError, "n is '5'; it takes a whole number from 0 to 9");
    expect(() => checkWord('c', 'w', ['a', 'b'])).to.throw(ConfigError, "w is 'c'; it takes one of 'a', 'b'");
    expect(() => checkInteger(-1, 'n', 0, Number.MAX_SAFE_INTEGER)).to.throw(ConfigError, 'of at least 0');
  });

  // F4
  it('take names of up to their bytes, in any script', () => {
    for (const name of ['x'.repeat(255), 'ü'.repeat(127), 'two words', '<>{}:%', '日本語']) {
      expect(checkName(name, 'the name', 255)).to.equal(name);
    }
    for (const name of ['', ' ', 'x'.repeat(256), 'ü'.repeat(128), 'a\0b', '\ud800', 5, undefined]) {
      expect(() => checkName(name, 'the name', 255), String(name)).to.throw(ConfigError, 'the name is');
    }
  });
});
