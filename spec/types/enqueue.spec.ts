import { expect } from 'chai';
import { BatchError, Task, tasks, type App, type Receipt } from 'solotask';

class Summary {
  total = 0;
}

class Loans {
  @Task()
  async recompute(loanId: number, force = false): Promise<Summary> {
    return { total: force ? loanId : 0 };
  }

  @Task()
  count(): number {
    return 1;
  }

  field = 5;
}

/** Never called: the compiler is what checks it. */
export async function compileTime(app: App): Promise<void> {
  const one: Receipt<Summary> = await app.enqueue(Loans, 'recompute', [42, true], { id: 'a', key: 42n });
  const summary: Summary = await one.result({ timeout: '1s' });
  const count: number = await (await app.enqueue(Loans, 'count', [])).result();
  const many: Receipt<Summary>[] = await app.enqueueMany(Loans, 'recompute', [[1], [2, true]], { delay: '5m' });
  const stubbed: Receipt<Summary> = await tasks(Loans, { at: new Date(), headers: { a: null } }).recompute(1);
  const sent: Receipt = await app.send('x', { args: [1], kwargs: { a: 1 }, queue: 'celery', expires: new Date() });
  const failed = (error: BatchError): [readonly (Receipt | undefined)[], readonly (Error | undefined)[]] => [
    error.receipts,
    error.errors,
  ];
  void [summary, count, many, stubbed, sent, failed];

  // @ts-expect-error the method takes a number
  await app.enqueue(Loans, 'recompute', ['42']);
  // @ts-expect-error no such method
  await app.enqueue(Loans, 'recomput', [42]);
  // @ts-expect-error no method
  await app.enqueue(Loans, 'field', []);
  // @ts-expect-error one list of arguments for each call
  await app.enqueueMany(Loans, 'recompute', [1, 2]);
  // @ts-expect-error one id for many
  await app.enqueueMany(Loans, 'recompute', [[1]], { id: 'a' });
  // @ts-expect-error the receipt is of a Summary
  const wrong: Receipt<number> = await app.enqueue(Loans, 'recompute', [42]);
  // @ts-expect-error a header is no object
  await app.tasks(Loans, { headers: { a: {} } }).recompute(1);
  // @ts-expect-error a typo
  await app.tasks(Loans, { dealy: 5 }).recompute(1);
  // @ts-expect-error a task that is sent by name has no key
  await app.send('x', { key: 'a' });
  void wrong;
}

describe('the types of an enqueue', () => {
  it('refuse at compile time what compileTime marks, and accept the rest', () => {
    expect(compileTime).to.be.a('function');
  });
});
