import { expect } from 'chai';
import { ShouldCompute, Task, type ShouldComputeOptions } from '../../lib/index.js';
import { ConfigError, DecoratorModeError } from '../../lib/errors.js';
import { define } from '../../lib/declarations/registry.js';
import { only } from '../support/declare.js';

function declare(options: unknown) {
  class ReportService {
    @Task() @ShouldCompute(options as ShouldComputeOptions) async report(loanId: number) {
      return loanId;
    }
  }
  return only(ReportService);
}

describe('@ShouldCompute', () => {
  it('takes a template, a function, or options', () => {
    const sources = [
      'report:<loanId>',
      (loanId: number) => `report:${loanId}`,
      { key: 'report:<loanId>', lease: '1m' },
    ];
    const definitions = sources.map(declare);
    for (const { key, unique, shouldCompute } of definitions) {
      expect(key?.([42])).to.equal('report:42');
      expect(unique).to.equal(undefined);
      expect(shouldCompute).to.include({ onDuplicate: 'discard', ttl: 600_000 });
    }
    expect(definitions.map(({ shouldCompute }) => shouldCompute?.lease)).to.deep.equal([15_000, 15_000, 60_000]);
  });

  it("takes @Task's key when it has none, with or without parentheses, in either order", () => {
    class S {
      @Task({ unique: { key: '<id>', ttl: '1h', lease: '1m' } }) @ShouldCompute a(id: number) {
        return id;
      }
      @ShouldCompute @Task({ unique: '<id>' }) b(id: number) {
        return id;
      }
      @ShouldCompute() @Task({ unique: '<id>' }) c(id: number) {
        return id;
      }
      @Task({ unique: '<id>' }) @ShouldCompute({ lease: '2m' }) d(id: number) {
        return id;
      }
      @ShouldCompute('<id>') @Task({ unique: '<id>' }) e(id: number) {
        return id;
      }
    }
    const definitions = define(S);
    expect(definitions).to.have.length(5);
    for (const { key, unique, shouldCompute } of definitions) {
      expect(key?.([7])).to.equal('7');
      expect(unique?.onDuplicate).to.equal('discard');
      expect(shouldCompute?.onDuplicate).to.equal('discard');
    }
    expect(only(S, 'a').shouldCompute).to.deep.equal({
      onDuplicate: 'discard',
      ttl: 3_600_000,
      lease: 60_000,
      keepFor: undefined,
    });
    expect(only(S, 'd').shouldCompute?.lease).to.equal(120_000);
  });

  // F2
  it('is refused without any key, with two keys, and without @Task', () => {
    class NoKey {
      @Task() @ShouldCompute m() {}
    }
    class TwoKeys {
      @Task({ unique: 'a' }) @ShouldCompute('b') m() {}
    }
    class NoTask {
      @ShouldCompute('a') m() {}
    }
    expect(() => define(NoKey)).to.throw(ConfigError, 'NoKey.m: @ShouldCompute has no key');
    expect(() => define(TwoKeys)).to.throw(
      ConfigError,
      'TwoKeys.m: @Task (a) and @ShouldCompute (b) have different keys',
    );
    expect(() => define(NoTask)).to.throw(ConfigError, 'NoTask.m: @ShouldCompute accompanies @Task; add @Task()');
  });

  it('checks its options where it stands', () => {
    for (const [options, text] of [
      [{ kye: 'x' }, "did you mean 'key'?"],
      [{ ttl: '1m' }, "no option 'ttl'"],
      [{ key: 5 }, "'key' is 5"],
      [{ key: 'x', lease: 5 }, "'lease' is 5"],
      [{ onDuplicate: 'drop' }, "'discard', 'coalesce'"],
      ['<nope>', 'parameters: loanId'],
      [5, 'it takes an object'],
    ] as const) {
      expect(() => declare(options), text).to.throw(ConfigError, text);
    }
  });

  it('takes requeue and reject', () => {
    for (const onDuplicate of ['requeue', 'reject']) {
      expect(declare({ key: 'x', onDuplicate }).shouldCompute).to.include({ onDuplicate });
    }
  });

  it('takes coalesce and keepFor from @Task where it leaves them open, and not both of them', () => {
    class Coalesced {
      @Task({ unique: { key: 'x', onDuplicate: 'coalesce' } })
      @ShouldCompute
      m() {}
    }
    class Kept {
      @Task({ unique: { key: 'x', keepFor: '1m' } })
      @ShouldCompute()
      m() {}
    }
    class Both {
      @Task({ unique: { key: 'x', keepFor: '1m' } })
      @ShouldCompute({ onDuplicate: 'coalesce' })
      m() {}
    }
    class OtherWay {
      @Task({ unique: { key: 'x', onDuplicate: 'coalesce' } })
      @ShouldCompute({ onDuplicate: 'discard', keepFor: '1m' })
      m() {}
    }
    expect(define(Coalesced)[0]?.shouldCompute?.onDuplicate).to.equal('coalesce');
    expect(define(Kept)[0]?.shouldCompute).to.include({ keepFor: 60_000, onDuplicate: 'discard' });
    for (const service of [Both, OtherWay]) {
      expect(() => define(service)).to.throw(ConfigError, 'do not go together');
    }
    expect(() => declare({ key: 'x', onDuplicate: 'coalesce', keepFor: '1m' })).to.throw(ConfigError, 'leave one out');
  });

  it('says what to set when it is called as a standard decorator', () => {
    const context = { kind: 'method', name: 'm' };
    for (const call of [ShouldCompute('x'), ShouldCompute] as unknown as ((...place: unknown[]) => void)[]) {
      expect(() => call(() => 1, context)).to.throw(DecoratorModeError, 'experimentalDecorators');
    }
  });
});
