import { expect } from 'chai';
import { Task, type TaskOptions } from '../../lib/index.js';
import { ConfigError, DecoratorModeError } from '../../lib/errors.js';
import { only } from '../support/declare.js';

/** Declares a task with options that the compiler may not like. */
function declare(options: unknown) {
  class LoanService {
    @Task(options as TaskOptions) async recompute(loanId: number) {
      return loanId;
    }
  }
  return only(LoanService);
}

describe('@Task', () => {
  it('declares a plain task with the documented defaults', () => {
    const { key, parameters, service, ...rest } = declare(undefined);
    expect(rest).to.deep.equal({
      name: 'LoanService.recompute',
      method: 'recompute',
      queue: 'tasks',
      acksLate: true,
      retry: { attempts: 3, delay: 1000, factor: 2, maxDelay: 300_000, jitter: true },
      priority: undefined,
      expires: undefined,
      timeLimit: undefined,
      thread: false,
      long: undefined,
      onConnectionLoss: 'abort',
      afterCommit: true,
      keyText: undefined,
      unique: undefined,
      shouldCompute: undefined,
    });
    expect(key).to.equal(undefined);
    expect(service.name).to.equal('LoanService');
    expect(parameters).to.deep.equal([{ name: 'loanId', type: Number, rest: false }]);
  });

  it('takes its options, durations as strings or milliseconds', () => {
    const unique = { key: 'loan:<loanId>', ttl: '1h', lease: 100, keepFor: '2s', onLockError: 'refuse' };
    const definition = declare({
      name: 'loans.recompute',
      queue: 'fast',
      unique,
      acksLate: false,
      retry: 1,
      priority: 9,
      expires: '1h',
    });
    expect(definition).to.include({
      name: 'loans.recompute',
      queue: 'fast',
      acksLate: false,
      priority: 9,
      expires: 3_600_000,
    });
    expect(definition.unique).to.deep.equal({
      onDuplicate: 'discard',
      ttl: 3_600_000,
      lease: 100,
      keepFor: 2_000,
      onLockError: 'refuse',
    });
    expect(definition.keyText).to.equal('loan:<loanId>');
    expect(definition.key?.([42])).to.equal('loan:42');
    expect(definition.retry.attempts).to.equal(1);
  });

  it('takes a template or a function for unique', () => {
    expect(declare({ unique: 'loan:<loanId>' }).unique).to.deep.equal({
      onDuplicate: 'discard',
      ttl: 600_000,
      lease: 15_000,
      onLockError: 'refuse',
      keepFor: undefined,
    });
    const definition = declare({ unique: (loanId: number) => `loan ${loanId}` });
    expect(definition.key?.([42])).to.equal('loan 42');
    expect(definition.keyText).to.equal('(function)');
  });

  it('accepts the values that are already so', () => {
    const options = { thread: false, afterCommit: true, onConnectionLoss: 'abort', queue: undefined };
    expect(() => declare(options)).not.to.throw();
  });

  it('takes a time limit and a thread', () => {
    expect(declare({ timeLimit: '1m', thread: true })).to.include({ timeLimit: 60_000, thread: true });
  });

  it('waits for the commit unless afterCommit is false', () => {
    expect(declare({}).afterCommit).to.equal(true);
    expect(declare({ afterCommit: false }).afterCommit).to.equal(false);
  });

  it('only records: a plain call runs the body', async () => {
    class LoanService {
      @Task({ unique: 'x' }) async recompute(loanId: number) {
        return loanId * 2;
      }
    }
    expect(await new LoanService().recompute(21)).to.equal(42);
  });

  // F2
  const wrong: [unknown, RegExp][] = [
    [{ queue: '' }, /'queue' is ''.*a name/],
    [{ queue: 'amq.x' }, /'amq\.'/],
    [{ queue: 'q'.repeat(241) }, /at most 240 bytes/],
    [{ name: 5 }, /'name' is 5/],
    [{ name: 'ü'.repeat(128) }, /at most 255 bytes \(this one has 256\)/],
    [{ name: 'a\nb' }, /control characters/],
    [{ acksLate: 'yes' }, /'acksLate' is 'yes'; it takes true or false/],
    [{ priority: 10 }, /'priority' is 10; it takes a whole number from 0 to 9/],
    [{ priority: 1.5 }, /priority/],
    [{ retry: { attempts: -1 } }, /'retry'\.attempts is -1/],
    [{ retry: { times: 3 } }, /no option 'times'/],
    [{ unique: 5 }, /'unique' is 5/],
    [{ unique: {} }, /'unique'\.key is undefined; it takes a template/],
    [{ unique: { key: 'x', ttl: '99ms' } }, /'unique'\.ttl is '99ms'.*at least 100 ms/],
    [{ unique: { key: 'x', lease: 0 } }, /'unique'\.lease is 0/],
    [{ unique: { key: 'x', onDuplicate: 'drop' } }, /'unique'\.onDuplicate is 'drop'; it takes one of 'discard'/],
    [{ unique: { key: 'x', onLockError: 'ignore' } }, /onLockError is 'ignore'/],
    [{ unique: { kye: 'x' } }, /no option 'kye'; did you mean 'key'\?/],
    [{ unique: 'loan:<loan>' }, /<loan>.*parameters: loanId/],
    [{ onConnectionLoss: 'wait' }, /onConnectionLoss' is 'wait'/],
    [{ long: 'x' }, /'long' is 'x'; it takes a duration of at least 1000 ms/],
    [{ long: 500 }, /'long' is 500; it takes a duration of at least 1000 ms/],
    [{ long: '2h' }, /'long' is '2h'; it takes true, false, or at most '1h'/],
    [{ long: true, acksLate: false }, /'long' does not go with acksLate: false.*leave long out/],
    [{ onConnectionLoss: 'finish', acksLate: false }, /'onConnectionLoss' does not go with acksLate: false/],
    [{ unique: { key: 'x', onDuplicate: 'requeue' } }, /write @ShouldCompute\({ key, onDuplicate: 'requeue' }\)/],
    [{ thread: 1 }, /'thread' is 1/],
    [{ timeLimit: 0 }, /'timeLimit' is 0; it takes a duration of at least 1 ms/],
    [{ expires: 0 }, /'expires' is 0; it takes a duration of at least 1 ms/],
    [{ uniqe: 'x' }, /no option 'uniqe'; did you mean 'unique'\? \(options: name, queue, unique,/],
    ['loan:<loanId>', /is 'loan:<loanId>'; it takes an object/],
    [[], /it takes an object/],
  ];
  for (const [options, text] of wrong) {
    it(`refuses ${JSON.stringify(options).slice(0, 60)}, naming the method`, () => {
      expect(() => declare(options))
        .to.throw(ConfigError, text)
        .with.property('message')
        .that.contains('LoanService.recompute');
    });
  }

  it('hands long runs over: every minute, or as often as it is told', () => {
    for (const [long, rest] of [
      [true, 60_000],
      ['5m', 300_000],
      [1_000, 1_000],
      [false, undefined],
    ] as const) {
      expect(declare({ long })).to.have.property('long', rest);
    }
  });

  it('hands over what has a time limit above ten minutes, unless it is told not to', () => {
    expect(declare({ timeLimit: '11m' })).to.have.property('long', 60_000);
    expect(declare({ timeLimit: '11m', long: '5m' })).to.have.property('long', 300_000);
    expect(declare({ timeLimit: '11m', long: false })).to.have.property('long', undefined);
    expect(declare({ timeLimit: '11m', acksLate: false })).to.have.property('long', undefined);
    expect(declare({ timeLimit: '10m' })).to.have.property('long', undefined);
  });

  it('stands once on a method', () => {
    const declareTwice = () => {
      class Twice {
        @Task() @Task() m() {}
      }
      return Twice;
    };
    expect(declareTwice).to.throw(ConfigError, 'Twice.m: @Task stands here twice');
  });

  it('belongs to a method of instances, whose name is a string', () => {
    const task = Task() as (...place: unknown[]) => void;
    class S {
      static m() {}
      get x() {
        return 1;
      }
    }
    expect(() => task(S, 'm', Object.getOwnPropertyDescriptor(S, 'm'))).to.throw(ConfigError, 'S.m (static)');
    expect(() => task(S)).to.throw(ConfigError, 'class S');
    expect(() => task(S.prototype, 'x', Object.getOwnPropertyDescriptor(S.prototype, 'x'))).to.throw(
      ConfigError,
      'accessor',
    );
    expect(() => task(S.prototype, 'field', undefined)).to.throw(ConfigError, 'S.field');
    expect(() => task(S.prototype, Symbol('m'), { value: () => 1 })).to.throw(ConfigError, 'Symbol(m)');
  });

  it('wants its parentheses', () => {
    const bare = Task as unknown as (...place: unknown[]) => void;
    class S {
      m() {}
    }
    expect(() => bare(S.prototype, 'm', { value: () => 1 })).to.throw(ConfigError, 'S.m: write @Task()');
  });

  it('says what to set when it is called as a standard decorator', () => {
    const context = { kind: 'method', name: 'm' };
    for (const call of [Task(), Task] as unknown as ((...place: unknown[]) => void)[]) {
      expect(() => call(() => 1, context)).to.throw(DecoratorModeError, 'experimentalDecorators');
    }
  });

  it('reads parameters under a decorator that wraps the method', () => {
    const wrap = (_target: object, _name: string, descriptor: PropertyDescriptor) => {
      const body = descriptor.value as (...args: unknown[]) => unknown;
      descriptor.value = (...args: unknown[]) => body(...args);
    };
    class Above {
      @wrap @Task({ unique: '<loanId>' }) m(loanId: number, force: boolean) {
        return [loanId, force];
      }
    }
    expect(only(Above).key?.([42])).to.equal('42');
    const below = () => {
      class Below {
        @Task({ unique: '<loanId>' }) @wrap m(loanId: number, force: boolean) {
          return [loanId, force];
        }
      }
      return Below;
    };
    expect(below).to.throw(ConfigError, "name the parameter with @Key('loanId')");
  });
});
