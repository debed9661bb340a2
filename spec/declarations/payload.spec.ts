import { expect } from 'chai';
import { Exclude, Expose, Transform, Type } from 'class-transformer';
import { IsDate, IsInt, IsOptional, IsPositive, IsString, ValidateNested } from 'class-validator';
import fc from 'fast-check';
import { inspect } from 'node:util';
import { PayloadError } from '../../lib/errors.js';
import { Key, Task } from '../../lib/index.js';
import { bindArguments, pack, unpack } from '../../lib/declarations/payload.js';
import { only, thrownBy } from '../support/declare.js';

class Item {
  @IsInt() @IsPositive() amount!: number;
}
class Payment {
  @IsInt() loanId!: number;
  @IsOptional() @IsDate() @Type(() => Date) at?: Date;
  @IsOptional() @ValidateNested({ each: true }) @Type(() => Item) items?: Item[];
}
class LatePayment extends Payment {}

class Service {
  @Task() plain(a: number, b: string, c = 5) {
    return [a, b, c];
  }
  @Task() pay(payment: Payment, at: Date) {
    return [payment, at];
  }
  @Task() late(payment: LatePayment) {
    return payment;
  }
  @Task() many(first: number, ...payments: Payment[]) {
    return [first, payments];
  }
  @Task() free(@Key('loan') loan: unknown, [x]: number[]) {
    return [loan, x];
  }
}
const plain = only(Service, 'plain');
const pay = only(Service, 'pay');
const now = new Date('2026-01-02T03:04:05.678Z');

const violationsOf = (act: () => unknown) => {
  const error = thrownBy(act);
  expect(error).to.be.instanceOf(PayloadError);
  return (error as PayloadError).violations;
};
const pathsOf = (act: () => unknown) => violationsOf(act).map(({ path }) => path);
/** What a broker does to arguments. */
const travel = (args: unknown[]) => JSON.parse(JSON.stringify(args)) as unknown[];

describe('pack', () => {
  it('leaves undefined out at the end, and makes it null elsewhere', () => {
    expect(pack(plain, [1, 'x', undefined])).to.deep.equal([1, 'x']);
    expect(pack(plain, [undefined, 'x'])).to.deep.equal([null, 'x']);
    expect(pack(plain, [undefined])).to.deep.equal([]);
  });

  it('names the parameter in the path, or the place of one without a name', () => {
    expect(pathsOf(() => pack(plain, [Number.NaN, 'x']))).to.deep.equal(['a']);
    const free = only(Service, 'free');
    expect(pathsOf(() => pack(free, [{ rate: 1n }, [1n]]))).to.deep.equal(['loan.rate', 'args[1][0]']);
    expect(pathsOf(() => pack(plain, [1, 'x', 2, new Map()]))).to.deep.equal(['args[3]']);
    expect(() => pack(plain, [1n])).to.throw(PayloadError, 'Service.plain: a: is a bigint, which JSON cannot carry');
  });

  it('round-trips every JSON value', () => {
    const free = only(Service, 'free');
    fc.assert(
      fc.property(fc.jsonValue(), fc.array(fc.jsonValue()), (a, b) => {
        const args = travel(pack(free, [a, b]));
        expect(JSON.stringify(unpack(free, args))).to.equal(JSON.stringify([a, b]));
      }),
    );
  });

  it('validates plain objects and instances of a payload class, nested paths included', () => {
    const bad = { loanId: 'x', items: [{ amount: 1 }, { amount: -1 }] };
    const paths = ['payment.loanId', 'payment.items[1].amount'];
    expect(pathsOf(() => pack(pay, [bad, now]))).to.deep.equal(paths);
    expect(pathsOf(() => pack(pay, [Object.assign(new Payment(), bad), now]))).to.deep.equal(paths);
    expect(violationsOf(() => pack(pay, [{ loanId: 1.5 }, now]))[0]?.message).to.contain('integer');
    expect(pathsOf(() => pack(only(Service, 'late'), [{}]))).to.deep.equal(['payment.loanId']);
  });

  it('refuses what is no object for a payload class', () => {
    for (const value of ['x', 5, true, [], [{ loanId: 1 }]]) {
      expect(violationsOf(() => pack(pay, [value, now]))).to.deep.equal([
        { path: 'payment', message: 'must be an object (Payment)' },
      ]);
    }
  });

  it('packs a date inside a payload class', () => {
    const payment = Object.assign(new Payment(), { loanId: 1, at: now });
    expect(pack(pay, [payment, now])).to.deep.equal([{ loanId: 1, at: now.toISOString() }, now.toISOString()]);
  });

  it('refuses an argument that is no date for a date', () => {
    for (const value of ['5', 'tomorrow', 5, {}, '2026-13-45']) {
      expect(
        pathsOf(() => pack(pay, [{ loanId: 1 }, value])),
        inspect(value),
      ).to.deep.equal(['at']);
    }
  });
});

describe('unpack', () => {
  it('gives the body instances and dates', () => {
    const items = [Object.assign(new Item(), { amount: 5 })];
    const payment = Object.assign(new Payment(), { loanId: 1, at: now, items });
    const [first, second] = unpack(pay, travel(pack(pay, [payment, now])));
    expect(first).to.be.instanceOf(Payment).and.deep.equal(payment);
    expect((first as Payment).items?.[0]).to.be.instanceOf(Item);
    expect(second).to.be.instanceOf(Date).and.deep.equal(now);
  });

  // F1
  it('refuses an invalid payload with its violations', () => {
    expect(pathsOf(() => unpack(pay, [{ loanId: 'x' }, 'x']))).to.deep.equal(['payment.loanId', 'at']);
    expect(pathsOf(() => unpack(pay, ['x']))).to.deep.equal(['payment']);
    expect(pathsOf(() => unpack(pay, [], { payment: { loanId: 'x' } }))).to.deep.equal(['payment.loanId']);
  });

  it('keeps properties that the class does not know', () => {
    expect(unpack(pay, [{ loanId: 1, note: 'x' }])[0]).to.deep.include({ note: 'x' });
  });

  it('leaves null and missing arguments as they are', () => {
    expect(unpack(pay, [null, null])).to.deep.equal([null, null]);
    expect(unpack(pay, [])).to.deep.equal([]);
  });

  it('takes each argument of a rest parameter by itself', () => {
    const many = only(Service, 'many');
    const args = unpack(many, travel(pack(many, [1, { loanId: 1 }, { loanId: 2 }])));
    expect(args.slice(1).every((one) => one instanceof Payment)).to.equal(true);
    expect(pathsOf(() => pack(many, [1, { loanId: 1 }, { loanId: 'x' }]))).to.deep.equal(['payments[1].loanId']);
  });

  it('reports a payload class that throws as a violation', () => {
    class Broken {
      @IsString()
      @Transform(() => {
        throw new Error('no transform');
      })
      a!: string;
    }
    class S {
      @Task() m(broken: Broken) {
        return broken;
      }
    }
    expect(violationsOf(() => unpack(only(S), [{ a: 'x' }]))).to.deep.equal([
      { path: 'broken', message: 'cannot become a Broken: no transform' },
    ]);
  });

  it('heeds @Expose and @Exclude both ways', () => {
    class Owner {
      @IsInt() @Expose({ name: 'owner_id' }) ownerId!: number;
      @Exclude() @IsOptional() secret?: string;
    }
    class S {
      @Task() m(owner: Owner) {
        return owner;
      }
    }
    const packed = pack(only(S), [Object.assign(new Owner(), { ownerId: 5, secret: 'x' })]);
    expect(packed).to.deep.equal([{ owner_id: 5 }]);
    expect(unpack(only(S), packed)[0]).to.deep.equal(Object.assign(new Owner(), { ownerId: 5 }));
  });
});

describe('bindArguments', () => {
  it('puts named arguments into their places', () => {
    expect(bindArguments(plain, [1], { c: 3 })).to.deep.equal([1, undefined, 3]);
    expect(bindArguments(plain, [], { b: 'x', a: 1 })).to.deep.equal([1, 'x']);
    expect(bindArguments(plain, [1, 'x'], {})).to.deep.equal([1, 'x']);
  });

  it('refuses unknown names, doubles and rest parameters', () => {
    expect(violationsOf(() => bindArguments(plain, [1], { a: 2, d: 1, '': 5 }))).to.deep.equal([
      { path: 'a', message: 'is given by position and by name' },
      { path: 'd', message: 'is no parameter' },
      { path: '', message: 'is no parameter' },
    ]);
    const [late] = violationsOf(() => bindArguments(only(Service, 'late'), [], { paymnt: 1 }));
    expect(late?.message).to.equal("is no parameter; did you mean 'payment'?");
    expect(pathsOf(() => bindArguments(only(Service, 'many'), [], { payments: [] }))).to.deep.equal(['payments']);
  });
});

// E9
describe('the key of packed arguments', () => {
  it('is the same for a payment by position, as an object, and after its travel', () => {
    class S {
      @Task({ unique: '<loanId>@<at>' }) byPosition(loanId: number, at: Date) {
        return [loanId, at];
      }
      @Task({ unique: '<loanId>@<at>' }) byObject(payment: Payment) {
        return payment;
      }
    }
    const byPosition = only(S, 'byPosition');
    const byObject = only(S, 'byObject');
    const key = byPosition.key?.([42, now]);
    expect(byObject.key?.([{ loanId: 42, at: now }])).to.equal(key);
    for (const [definition, args] of [
      [byPosition, [42, now]],
      [byObject, [{ loanId: 42, at: now }]],
    ] as const) {
      const travelled = travel(pack(definition, args));
      expect(definition.key?.(travelled)).to.equal(key);
      expect(definition.key?.(unpack(definition, travelled))).to.equal(key);
    }
  });
});
