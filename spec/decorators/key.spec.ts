import { expect } from 'chai';
import { Key, ShouldCompute, Task } from '../../lib/index.js';
import { ConfigError, DecoratorModeError } from '../../lib/errors.js';
import { only } from '../support/declare.js';

describe('@Key', () => {
  it('names a parameter, whatever the code calls it', () => {
    class S {
      @Task({ unique: 'loan:<loanId>' }) m(a: string, @Key('loanId') b: number) {
        return [a, b];
      }
      @Task() @ShouldCompute('<owner>') n(@Key('owner') { id }: { id: number }, other: number) {
        return [id, other];
      }
    }
    expect(only(S, 'm').key?.(['x', 42])).to.equal('loan:42');
    expect(only(S, 'm').parameters.map(({ name }) => name)).to.deep.equal(['a', 'loanId']);
    expect(only(S, 'n').parameters.map(({ name }) => name)).to.deep.equal(['owner', 'other']);
  });

  it('wins over a parameter that happens to have the name', () => {
    class S {
      @Task({ unique: '<a>' }) m(a: number, @Key('a') b: number) {
        return [a, b];
      }
    }
    expect(only(S).key?.([1, 2])).to.equal('2');
  });

  it('names parameters of a wrapped method', () => {
    const wrap = (_target: object, _name: string, descriptor: PropertyDescriptor) => {
      const body = descriptor.value as (...args: unknown[]) => unknown;
      descriptor.value = (...args: unknown[]) => body(...args);
    };
    class S {
      @Task({ unique: '<id>' }) @wrap one(@Key('id') id: number) {
        return id;
      }
      @Task({ unique: '<id>' }) @wrap two(force: boolean, @Key('id') id: number) {
        return [id, force];
      }
    }
    expect(only(S, 'one').key?.([42])).to.equal('42');
    expect(only(S, 'two').key?.([true, 42])).to.equal('42');
    expect(only(S, 'two').parameters).to.deep.equal([
      { name: undefined, type: Boolean, rest: false },
      { name: 'id', type: Number, rest: false },
    ]);
  });

  it('is refused for an empty name, a name taken twice, and outside a parameter of a method', () => {
    const key = (name: string) => Key(name) as (...place: unknown[]) => void;
    class S {}
    expect(() => key('')(S.prototype, 'm', 0)).to.throw(ConfigError, 'S.m: the name of @Key');
    expect(() => key('a')(S.prototype, 'm', { value: () => 1 })).to.throw(ConfigError, 'belongs to a parameter');
    expect(() => key('a')(S, undefined, 0)).to.throw(ConfigError, 'class S');
    expect(() => key('a')(S, 'm', 0)).to.throw(ConfigError, 'static');
    key('a')(S.prototype, 'm', 0);
    expect(() => key('a')(S.prototype, 'm', 1)).to.throw(ConfigError, "two parameters are named @Key('a')");
    expect(() => key('a')(() => 1, { kind: 'method' })).to.throw(DecoratorModeError, 'experimentalDecorators');
  });
});
