import { expect } from 'chai';
import { Task, type App, type Json } from 'solotask';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <Same extends true>(): Same | undefined => undefined;

class Money {
  readonly #cents = 1;
  toJSON(): string {
    return `${this.#cents}`;
  }
}

interface Summary {
  readonly total: number;
  readonly at: Date;
  readonly note?: string;
  readonly due: Date | undefined;
  readonly rates: readonly [number, Date | undefined];
  readonly lines: { by: Money }[];
  add(other: Summary): Summary;
}

function compileTime(): void {
  is<Equal<Json<string | 5 | null | true>, string | 5 | null | true>>();
  is<Equal<Json<void>, null>>();
  is<Equal<Json<Date | undefined>, string | null>>();
  is<Equal<Json<bigint>, never>>();
  is<Equal<Json<Map<string, number>>, never>>();
  is<Equal<Json<unknown>, unknown>>();
  is<Equal<Json<Money[]>, string[]>>();
  is<
    Equal<
      Json<Summary>,
      {
        readonly total: number;
        readonly at: string;
        readonly note?: string;
        readonly due: string | undefined;
        readonly rates: readonly [number, string | null];
        readonly lines: { by: string }[];
      }
    >
  >();

  class Loans {
    @Task()
    async find(loanId: number): Promise<{ loanId: number; at: Date } | undefined> {
      return { loanId, at: new Date() };
    }
  }
  const ask = async (app: App): Promise<string | undefined> => {
    const receipt = await app.tasks(Loans).find(1);
    const loan: { loanId: number; at: string } | null = await receipt.result({ timeout: '5s' });
    // @ts-expect-error a Date is a string after JSON
    loan?.at.getTime();
    return loan?.at;
  };
  void ask;
}

describe('the types of results', () => {
  it('are those of JSON: what compileTime says compiles, and what it marks does not', () => {
    expect(compileTime).to.be.a('function');
  });
});
