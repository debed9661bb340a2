import { expect } from 'chai';
import { compileKey } from '../../lib/declarations/key-template.js';
import { UniqueStage } from './unique-stage.js';

const names = ['a', 'b'] as const;
const parameters = names.map((name) => ({ name, type: undefined, rest: false }));

/** Templates and arguments; the same text in both languages. */
const KEYS: readonly (readonly [template: string, ...args: unknown[]])[] = [
  ['loan:<a>', 42],
  ['loan:<a>:<b>', 'x:y', 'z:w'],
  ['loan:<a>:<b>', '100%', '%3A'],
  ['{ a }/{b}', 'a/b', 'é€😀'],
  ['<a>→<b>', 'x→y', 1],
  ['<a.id>|<a.deep.name>', { id: 7, deep: { name: 'n|m' } }],
  ['of <id>', { id: 'inside' }, 1],
  ['flag:<a>:<b>', true, false],
  ['n:<a>:<b>', 1.5, -0.25],
  ['n:<a>:<b>', 0.1, 1e-7],
  ['n:<a>:<b>', 1e-6, 1.25e-10],
  ['n:<a>:<b>', 123456.789, 1e21],
  ['n:<a>:<b>', 1.5e300, 9007199254740991],
  ['n:<a>:<b>', -1, 0],
  ['plain'],
];

/** Texts that JSON reads as floats in Python and that JavaScript prints without a fraction. */
const FLOATS = ['1.0', '-2.0', '1e16', '1.2345678901234567e20', '0.0', '100000.0', '4.35', '1e22', '5e-324'];

describe('the key of a template, in Python and in TypeScript', () => {
  const stage = new UniqueStage();
  before(function () {
    this.timeout(20_000);
    return stage.open();
  });
  after(() => stage.close());

  const inPython = (template: string, args: readonly unknown[]) =>
    stage.peer.ask<string>('key', { template, names: names.slice(0, args.length), args });
  const here = (template: string, args: readonly unknown[]) =>
    compileKey(template, parameters.slice(0, args.length), 'spec')(args);

  it('is the same text for values of every kind', async () => {
    for (const [template, ...args] of KEYS) expect(await inPython(template, args)).to.equal(here(template, args));
  });

  it('is the same text for a float, however it is written', async () => {
    for (const text of FLOATS) {
      const key = await stage.peer.ask('float_key', { text });
      expect(key).to.equal(here('n:<a>', [Number(text)]));
    }
  });

  it('is the same text for a moment, whatever its zone', async () => {
    for (const text of ['2026-11-21T18:00:00.123456+02:00', '2026-01-01T00:00:00+00:00']) {
      expect(await stage.peer.ask('moment_key', { text })).to.equal(here('at:<a>', [new Date(text)]));
    }
  });

  it('is refused by both for what makes no key', async () => {
    const wrong = [
      ['loan:<a>', null],
      ['loan:<a>', ''],
      ['loan:<a>', [1]],
      ['<a>', 'x'.repeat(513)],
    ] as const;
    for (const [template, value] of wrong) {
      expect(() => here(template, [value])).to.throw();
      const refused = await inPython(template, [value]).catch((error: unknown) => error);
      expect(refused).to.have.property('type', 'UniqueKeyError');
    }
  });

  it('is refused by both for a template that runs its values together', async () => {
    for (const template of ['<a><b>', '<a>x<b>', 'a<', '<>', ' ']) {
      expect(() => here(template, [1, 2])).to.throw();
      const refused = await inPython(template, [1, 2]).catch((error: unknown) => error);
      expect(refused, template).to.have.property('type', 'ImproperlyConfigured');
    }
  });
});
