import { expect } from 'chai';
import { runInThisContext } from 'node:vm';
import { signature } from '../../lib/declarations/signature.js';

/** `a`, `?` for a parameter without a name, `...` before a rest parameter. */
const read = (method: Function): string =>
  signature(method)
    .map(({ name, rest }) => `${rest ? '...' : ''}${name ?? '?'}`)
    .join(' ');

/** A method as its class prints it. */
const method = (source: string, name = 'm'): Function => {
  const made = runInThisContext(
    `(() => { const computed = 'm'; return class extends Object { #secret = 1; ${source} }; })()`,
  ) as {
    prototype: Record<string, Function>;
  };
  return made.prototype[name]!;
};

const methods: Record<string, string> = {
  'm() {}': '',
  'm(a) {}': 'a',
  'm(a, b,) {}': 'a b',
  'async m(a) { await a; }': 'a',
  '*m(a) { yield a; }': 'a',
  'async *m(a) { yield a; }': 'a',
  'm(a = 5) {}': 'a',
  'm(a = { x: [1, ")"] }, b = (c, d) => c) {}': 'a b',
  'm(a = "/*", b = `${"),"}`) {}': 'a b',
  'm({ a, b }) {}': '?',
  'm({ a, b } = {}, c) {}': '? c',
  'm([a, b], c) {}': '? c',
  'm(...a) {}': '...a',
  'm(a, ...[b, c]) {}': 'a ...?',
  'm(a, b = 1, { c }, [d], ...e) {}': 'a b ? ? ...e',
  'm(/* a, */ b /* = 1 */, // c\n d) {}': 'b d',
  '/* (x) */ m(a) {}': 'a',
  '["m"](a) {}': 'a',
  '[computed](a) {}': 'a',
  '"m"(a) {}': 'a',
  "async 'm'(a) {}": 'a',
  'm(a) { return super.toString() + this.#secret; }': 'a',
  'm(a) { return #secret in a; }': 'a',
  'm(ünïcode, $, _) {}': 'ünïcode $ _',
  'm(async, get, of) {}': 'async get of',
  'm\n(\na\n)\n{\n}': 'a',
  'async m(a) { for await (const b of a) { const f = async (c) => c?.d ?? 1n; } }': 'a',
  'm(a) { return /[(){}]/u.test(a) && import("x"); }': 'a',
  'm(a) { // the last line\n}': 'a',
};

describe('signature', () => {
  for (const [source, expected] of Object.entries(methods)) {
    it(`reads ${source.replaceAll('\n', '⏎')}`, () => {
      expect(read(method(source))).to.equal(expected);
    });
  }

  it('reads methods with odd names', () => {
    expect(read(method('get(a) {}', 'get'))).to.equal('a');
    expect(read(method('async(a) {}', 'async'))).to.equal('a');
    expect(read(method('42(a) {}', '42'))).to.equal('a');
    expect(read(method('"two words"(a) {}', 'two words'))).to.equal('a');
    expect(read(method('function(a) {}', 'function'))).to.equal('a');
  });

  it('reads functions and arrow functions, as wrapping decorators leave them', () => {
    for (const source of ['function (a) {}', 'function named(a) {}', 'async function (a) {}', 'function* (a) {}']) {
      expect(read(runInThisContext(`(${source})`) as Function), source).to.equal('a');
    }
    for (const source of ['a => a', '(a) => a', 'async a => a', 'async (a) => { await a; }']) {
      expect(read(runInThisContext(`(${source})`) as Function), source).to.equal('a');
    }
    expect(read((...args: unknown[]) => args)).to.equal('...args');
  });

  it('gives unnamed parameters for what has no readable source', () => {
    expect(read(Math.max)).to.equal('? ?');
    expect(read(((a: number, b: number) => a + b).bind(undefined))).to.equal('? ?');
    expect(read(class {})).to.equal('');
  });
});
