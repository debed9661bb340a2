import { expect } from 'chai';
import fc from 'fast-check';
import { inspect } from 'node:util';
import { ConfigError, KeyError } from '../../lib/errors.js';
import { compileKey } from '../../lib/declarations/key-template.js';
import { MAX_KEY_BYTES } from '../../lib/declarations/key-value.js';
import type { Class, ParameterDefinition } from '../../lib/task-definition.js';
import { thrownBy } from '../support/declare.js';

const parameter = (name: string | undefined, type?: unknown): ParameterDefinition => ({
  name,
  type: type as Class | undefined,
  rest: false,
});
const key = (template: string, args: readonly unknown[], ...names: string[]): string =>
  compileKey(
    template,
    names.map((name) => parameter(name)),
    'S.m',
  )(args);

// E9
describe('a key template', () => {
  it('takes the values of parameters, in angle brackets or braces', () => {
    expect(key('loan:<loanId>', [42], 'loanId')).to.equal('loan:42');
    expect(key('loan:{loanId}', [42], 'loanId')).to.equal('loan:42');
    expect(key('<b>/<a>/x', ['one', 'two'], 'a', 'b')).to.equal('two/one/x');
  });

  it('takes properties of the only object argument, and deeper ones', () => {
    expect(key('loan:<loanId>', [true, { loanId: 42 }], 'force', 'payment')).to.equal('loan:42');
    expect(key('loan:<payment.loanId>', [{ loanId: 42 }], 'payment')).to.equal('loan:42');
    expect(key('loan:<loan.id>', [{ loan: { id: 42 } }], 'payment')).to.equal('loan:42');
    expect(key('<p.loan.id>', [{ loan: { id: 42 } }], 'p')).to.equal('42');
  });

  it('lets a parameter win over a property of the same name', () => {
    expect(key('<id>', [1, { id: 2 }], 'id', 'loan')).to.equal('1');
  });

  it('writes equal values equally', () => {
    expect(key('<a>', ['42'], 'a')).to.equal(key('<a>', [42], 'a'));
    expect(key('<a>', [42n], 'a')).to.equal('42');
    expect(key('<a>', [true], 'a')).to.equal('true');
    expect(key('<a>', [new Date(0)], 'a')).to.equal('1970-01-01T00:00:00.000Z');
    expect(key('<a>', [-0], 'a')).to.equal('0');
  });

  it('may have no placeholder: one key for the task', () => {
    expect(key('nightly', [1], 'a')).to.equal('nightly');
  });

  it('keeps parts from running into each other, and usual values readable', () => {
    expect(key('<a>:<b>', ['a:b', 'c'], 'a', 'b')).to.equal('a%3Ab:c');
    expect(key('<a>:<b>', ['a', 'b:c'], 'a', 'b')).to.equal('a:b:c');
    expect(key('<a>-<b>', ['2024-01', 5], 'a', 'b')).to.equal('2024%2D01-5');
    expect(key('<a>', ['100%'], 'a')).to.equal('100%25');
  });

  it('gives different keys for different values, whatever they hold', () => {
    const value = fc.string({ unit: fc.constantFrom('a', ':', '%', '3', 'A', '|', '€', '2', '5'), minLength: 1 });
    const values = fc.tuple(value, value, value);
    const compute = compileKey(
      'k<a>:<b>|%<c>:',
      ['a', 'b', 'c'].map((name) => parameter(name)),
      'S.m',
    );
    fc.assert(
      fc.property(
        values,
        values,
        (one, other) => (compute(one) === compute(other)) === (one.join('\0') === other.join('\0')),
      ),
      { numRuns: 2000 },
    );
  });

  it('can be read back, for every separator and text', () => {
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 });
    const separator = fc.constantFrom(':', '-', ' ', '€', '::', '/x', '.', '😀', '\\', '$&');
    fc.assert(
      fc.property(separator, text, text, (between, a, b) => {
        const written = key(`<a>${between}<b>`, [a, b], 'a', 'b');
        const end = written.indexOf(between);
        const back = [written.slice(0, end), written.slice(end + between.length)].map(decodeURIComponent);
        expect(back).to.deep.equal([a, b]);
      }),
    );
  });

  // F4
  it('takes long, spaced and non-ASCII values, and brackets in them', () => {
    for (const value of ['x'.repeat(255), 'ü'.repeat(255), 'two words', '<>{}:%', '日本語 😀', 'a\nb']) {
      expect(key('k:<a>', [value], 'a'), value).to.equal(`k:${value.replace('%', '%25')}`);
    }
    expect(key('Zinsen für <a>', [1], 'a')).to.equal('Zinsen für 1');
  });

  // F4
  it('refuses keys that are too long or no Unicode', () => {
    expect(key('<a>', ['x'.repeat(MAX_KEY_BYTES)], 'a')).to.have.length(MAX_KEY_BYTES);
    expect(() => key('<a>', ['x'.repeat(MAX_KEY_BYTES + 1)], 'a')).to.throw(KeyError, '513 bytes');
    expect(() => key('<a>', ['ü'.repeat(257)], 'a')).to.throw(KeyError, '514 bytes');
    expect(() => key('<a>', ['\ud800'], 'a')).to.throw(KeyError, 'Unicode');
  });

  const noValues: [unknown, RegExp][] = [
    [undefined, /undefined/],
    [null, /null/],
    [Number.NaN, /NaN/],
    [Infinity, /Infinity/],
    ['', /an empty string/],
    [{}, /an object \(Object\)/],
    [Object.create(null), /an object/],
    [[1], /an array/],
    [new Date(Number.NaN), /an invalid date/],
    [() => 1, /a function/],
    [Symbol('s'), /a symbol/],
    [new Map(), /an object \(Map\)/],
  ];
  for (const [value, kind] of noValues) {
    it(`refuses ${kind.source} as a value, naming the placeholder`, () => {
      const error = thrownBy(() => key('loan:<loanId>', [value], 'loanId'));
      expect(error).to.be.instanceOf(KeyError);
      expect(error.message)
        .to.match(/S\.m: <loanId> is /)
        .and.match(kind);
      expect(error.data).to.deep.equal({ task: 'S.m', placeholder: 'loanId' });
    });
  }

  it('refuses a missing argument, whose default it cannot know', () => {
    expect(() => key('<a>', [], 'a')).to.throw(KeyError, '<a> is undefined');
  });

  it('refuses a property when there is no object, more than one, or a gap on the way', () => {
    expect(() => key('<id>', [1], 'loan')).to.throw(KeyError, 'no argument is an object');
    expect(() => key('<id>', [{ id: 1 }, { id: 1 }], 'a', 'b')).to.throw(KeyError, '2 arguments are objects');
    expect(() => key('<loan.owner.id>', [{}], 'loan')).to.throw(KeyError, "before 'id' is undefined");
    expect(() => key('<constructor>', [{}], 'loan')).to.throw(KeyError, 'a function');
  });
});

// F2
describe('a key template, at declaration', () => {
  const compile = (template: string, ...parameters: ParameterDefinition[]) => compileKey(template, parameters, 'S.m');

  it('refuses a placeholder that no parameter carries, and says what is there', () => {
    const error = thrownBy(() => compile('<laonId>', parameter('loanId', Number), parameter('force', Boolean)));
    expect(error).to.be.instanceOf(ConfigError);
    expect(error.message).to.match(/S\.m.*<laonId>.*loanId, force.*did you mean 'loanId'.*@Key\('laonId'\)/);
    expect(() => compile('<id>')).to.throw(ConfigError, 'parameters: none');
    for (const type of [String, Number, Boolean, Date, BigInt, Array]) {
      expect(() => compile('<id>', parameter('loan', type)), type.name).to.throw(ConfigError);
    }
  });

  it('waits for the arguments when a parameter may be an object', () => {
    for (const type of [Object, undefined, Function, class Payment {}]) {
      expect(() => compile('<id>', parameter('n', Number), parameter('loan', type))).not.to.throw();
    }
  });

  it('refuses a property of a parameter that is no object', () => {
    expect(() => compile('<id.x>', parameter('id', Number))).to.throw(ConfigError, "property of 'id'");
  });

  it('refuses a rest parameter', () => {
    expect(() => compile('<ids>', { name: 'ids', type: undefined, rest: true })).to.throw(ConfigError, '...ids');
    expect(() => compile('<id>', { name: 'args', type: undefined, rest: true })).to.throw(ConfigError, "@Key('id')");
  });

  for (const template of [
    '',
    '  ',
    'loan:<loanId',
    'loan:loanId>',
    'loan:{loanId',
    'loan:<loanId}',
    '<<a>>',
    '<>',
    '{ }',
    '<a.>',
    '<.a>',
  ]) {
    it(`refuses '${template}'`, () => {
      expect(() => compile(template, parameter('loanId'), parameter('a'))).to.throw(ConfigError, 'S.m');
    });
  }

  it('refuses placeholders without a separator between them', () => {
    for (const template of ['<a><b>', '<a>x<b>', '<a>1:<b>', '<a>%<b>', '<a>ü<b>']) {
      expect(() => compile(template, parameter('a'), parameter('b')), template).to.throw(ConfigError, 'separator');
    }
    expect(() => compile('x<a>:x<b>y', parameter('a'), parameter('b'))).not.to.throw();
  });
});

describe('a key function', () => {
  const call = (source: (...args: never[]) => unknown, ...args: unknown[]) =>
    compileKey(source as () => string, [], 'S.m')(args);

  it('is given the arguments', () => {
    expect(call((a: number, b: string) => `${a}/${b}`, 1, 'x')).to.equal('1/x');
    expect(call(() => 42)).to.equal('42');
    expect(call(() => 42n)).to.equal('42');
  });

  it('must return a key', () => {
    for (const value of [undefined, null, '', {}, true, Number.NaN, new Date(0)]) {
      expect(() => call(() => value), inspect(value)).to.throw(KeyError, 'S.m: the key is');
    }
    expect(() => call(() => Promise.reject(new Error('late')))).to.throw(KeyError, 'a promise');
    expect(() => call(() => 'x'.repeat(600))).to.throw(KeyError, '600 bytes');
  });

  it('that throws gives a KeyError with its error as cause', () => {
    const cause = new Error('no such loan');
    const error = thrownBy(() =>
      call(() => {
        throw cause;
      }),
    );
    expect(error).to.be.instanceOf(KeyError).with.property('cause', cause);
    expect(error.message).to.contain('no such loan');
  });
});
