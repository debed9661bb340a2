import { expect } from 'chai';
import fc from 'fast-check';
import type { Violation } from '../lib/errors.js';
import { toJson } from '../lib/json.js';

function violations(value: unknown): Violation[] {
  const found: Violation[] = [];
  toJson(value, 'loan', found);
  return found;
}

describe('toJson', () => {
  it('gives what JSON.stringify and JSON.parse would give, for every plain value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const found: Violation[] = [];
        const copy = toJson(value, 'loan', found);
        expect(found).to.deep.equal([]);
        expect(JSON.stringify(copy)).to.equal(JSON.stringify(value));
      }),
    );
  });

  it('copies, so that a later change of the original does not travel', () => {
    const original = { list: [{ rate: 1 }] };
    const copy = toJson(original, 'loan', []);
    original.list[0]!.rate = 2;
    expect(copy).to.deep.equal({ list: [{ rate: 1 }] });
  });

  it('writes dates, toJSON and instances as JSON does, and treats undefined as JSON does', () => {
    class Loan {
      rate = 5;
      gone = undefined;
    }
    class Money {
      toJSON() {
        return { cents: 5 };
      }
    }
    expect(toJson(new Date(0), 'd', [])).to.equal('1970-01-01T00:00:00.000Z');
    expect(toJson({ loan: new Loan(), money: new Money(), list: [undefined, 1] }, 'a', [])).to.deep.equal({
      loan: { rate: 5 },
      money: { cents: 5 },
      list: [null, 1],
    });
  });

  it('keeps an own __proto__ a plain property', () => {
    const copy = toJson(JSON.parse('{"__proto__": {"admin": true}}'), 'a', []);
    expect(JSON.stringify(copy)).to.equal('{"__proto__":{"admin":true}}');
    expect((copy as { admin?: boolean }).admin).to.equal(undefined);
  });

  it('takes one object in two places', () => {
    const shared = { a: 1 };
    expect(toJson([shared, shared], 'a', [])).to.deep.equal([shared, shared]);
  });

  for (const [value, text] of [
    [1n, 'bigint'],
    [new Map(), 'Map'],
    [new Set(), 'Set'],
    [() => 1, 'function'],
    [Symbol('s'), 'symbol'],
    [Number.NaN, 'NaN'],
    [-Infinity, '-Infinity'],
    [new Date(Number.NaN), 'invalid date'],
    [Promise.resolve(), 'await it first'],
    [/x/, 'RegExp'],
    [new Error('x'), 'Error'],
    [new Uint8Array(1), 'Uint8Array'],
    [Object(1), 'Number'],
  ] as [unknown, string][]) {
    it(`refuses a ${text}, with its path`, () => {
      const [first, ...others] = violations({ items: [0, { 'odd name': value }] });
      expect(others).to.deep.equal([]);
      expect(first?.path).to.equal('loan.items[1]["odd name"]');
      expect(first?.message).to.contain(text);
    });
  }

  it('refuses cycles and bottomless nesting', () => {
    const loan: Record<string, unknown> = {};
    loan['self'] = { loan };
    expect(violations(loan)).to.deep.equal([{ path: 'loan.self.loan', message: 'contains itself (a cycle)' }]);
    let deep: unknown = 1;
    for (let i = 0; i < 10_000; i++) deep = [deep];
    expect(violations(deep)[0]?.message).to.contain('nested deeper than 500');
  });

  it('lists everything that is wrong', () => {
    expect(violations({ a: 1n, b: [Number.NaN] }).map(({ path }) => path)).to.deep.equal(['loan.a', 'loan.b[0]']);
  });
});
