import { expect } from 'chai';
import { Key, ShouldCompute, Task } from 'solotask';

/** Never called: the compiler is what checks it. Each expected error is one that a user would see at the decorator. */
export function compileTime(): void {
  class Accepted {
    @Task() plain(loanId: number) {
      return loanId;
    }
    @Task({ unique: 'x', retry: { attempts: 5, delay: '1s' }, queue: 'q', priority: 5 }) template(loanId: number) {
      return loanId;
    }
    @Task({ unique: (loanId: number) => `l:${loanId}` }) fewer(loanId: number, force: boolean) {
      return force ? loanId : 0;
    }
    @Task({ queue: 'q', unique: { key: (loanId: number) => loanId, ttl: '1m' } }) object(loanId: number) {
      return loanId;
    }
    @Task({ unique: (loanId: number, at?: Date) => `${loanId}${String(at)}` }) more(loanId: number) {
      return loanId;
    }
    @Task({ unique: (loanId) => `l:${String(loanId)}` }) unannotated(loanId: number) {
      return loanId;
    }
    @Task() @ShouldCompute('x') worker(@Key('x') loanId: number) {
      return loanId;
    }
    @ShouldCompute @Task({ unique: 'x' }) async bare(loanId: number) {
      return loanId;
    }
    @ShouldCompute() @Task({ unique: 'x' }) parentheses() {}
    @Task() @ShouldCompute({ key: (loanId: number) => `l:${loanId}`, lease: '1m' }) workerObject(loanId: number) {
      return loanId;
    }
    @Task({ unique: 'x' }) @ShouldCompute({ lease: 500 }) leaseOnly() {}
    @Task() @ShouldCompute((ids: number[], ...rest: string[]) => [...ids, ...rest].join()) rest(
      ids: number[],
      a: string,
    ) {
      return [ids, a];
    }
  }

  class Refused {
    // @ts-expect-error the key function takes a string, the method a number
    @Task({ unique: (loanId: string) => `l:${loanId}` }) wrongType(loanId: number) {
      return loanId;
    }
    // @ts-expect-error the same in an object
    @Task({ unique: { key: (loanId: string) => `l:${loanId}` } }) wrongTypeInObject(loanId: number) {
      return loanId;
    }
    // @ts-expect-error the key function takes an argument that the method does not have
    @Task({ unique: (loanId: number, at: Date) => `${loanId}${at.getTime()}` }) tooMany(loanId: number) {
      return loanId;
    }
    // @ts-expect-error an unannotated parameter is unknown
    @Task({ unique: (loanId) => `l:${loanId.nope}` }) unannotated(loanId: number) {
      return loanId;
    }
    // @ts-expect-error a key is no object
    @Task({ unique: (loanId: number) => ({ loanId }) }) noKey(loanId: number) {
      return loanId;
    }
    // @ts-expect-error a typo
    @Task({ uniqe: 'x' }) typo() {}
    // @ts-expect-error a typo inside
    @Task({ unique: { key: 'x', tll: '1m' } }) innerTypo() {}
    // @ts-expect-error a typo inside
    @Task({ retry: { atempts: 1 } }) retryTypo() {}
    // @ts-expect-error no such strategy
    @Task({ unique: { key: 'x', onDuplicate: 'drop' } }) strategy() {}
    // @ts-expect-error the key function takes a string, the method a number
    @Task() @ShouldCompute((loanId: string) => loanId) worker(loanId: number) {
      return loanId;
    }
    // @ts-expect-error the same in an object
    @Task() @ShouldCompute({ key: (loanId: string) => loanId }) workerObject(loanId: number) {
      return loanId;
    }
    // @ts-expect-error a typo
    @Task() @ShouldCompute({ kye: 'x' }) workerTypo() {}
    // @ts-expect-error no method
    @Task() field = 5;
    // @ts-expect-error @Key names a parameter
    @Key('x') @Task() onMethod() {}
  }
  void [Accepted, Refused];
}

describe('the types of the decorators', () => {
  it('refuse at compile time what compileTime marks, and accept the rest', () => {
    expect(compileTime).to.be.a('function');
  });
});
