import { expect } from 'chai';
import type { NodePgDatabase } from 'drizzle-orm/node-postgres';
import type { Knex } from 'knex';
import { Task, type App, type Receipt, type RolledBack } from 'solotask';
import type { DataSource, EntityManager } from 'typeorm';

class Loans {
  @Task()
  async recompute(loanId: number) {
    return { loanId };
  }
}

type DrizzleTx = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

/** Takes a value of exactly this type. */
const exactly =
  <Wanted>() =>
  <Given>(value: Given, ...same: [Given] extends [Wanted] ? ([Wanted] extends [Given] ? [] : [never]) : [never]) =>
    void [value, same];

/** Never called: the compiler is what checks it. */
export async function compileTime(
  app: App,
  { source, drizzle, knex }: { source: DataSource; drizzle: NodePgDatabase; knex: Knex },
): Promise<void> {
  const enqueue = (loanId: number) => app.tasks(Loans).recompute(loanId);

  // The result is that of the body, whatever lies between.
  exactly<number>()(await app.transaction(async () => 5));
  exactly<number>()(await app.transaction(() => 5));
  exactly<Receipt<{ loanId: number }>>()(await app.transaction(() => enqueue(1)));
  exactly<Receipt<{ loanId: number }>>()(await app.transaction(() => source.transaction(() => enqueue(1))));
  exactly<Receipt<{ loanId: number }>>()(await app.transaction(() => drizzle.transaction(() => enqueue(1))));
  exactly<Receipt<{ loanId: number }>>()(await app.transaction(() => knex.transaction(() => enqueue(1))));

  // The runner hands over what the body says it takes.
  const byTypeOrm = await app.transaction(
    (body) => source.transaction(body),
    async (tx: EntityManager) => tx.queryRunner?.isTransactionActive,
  );
  exactly<boolean | undefined>()(byTypeOrm);
  const byIsolation = await app.transaction(
    (body) => source.transaction('SERIALIZABLE', body),
    async (tx: EntityManager) => tx.connection.isInitialized,
  );
  exactly<boolean>()(byIsolation);
  const byDrizzle = await app.transaction(
    (body) => drizzle.transaction(body, { isolationLevel: 'serializable' }),
    async (tx: DrizzleTx) => typeof tx.rollback,
  );
  exactly<'string' | 'number' | 'bigint' | 'boolean' | 'symbol' | 'undefined' | 'object' | 'function'>()(byDrizzle);
  const byKnex = await app.transaction(
    (body) => knex.transaction(body, { isolationLevel: 'serializable' }),
    async (trx: Knex.Transaction) => trx.isCompleted(),
  );
  exactly<boolean>()(byKnex);
  const byTwo = await app.transaction(
    async (body: (a: string, b: number) => Promise<Date>) => [await body('a', 1)],
    (a: string, b: number) => new Date(`${a}${b}`),
  );
  exactly<Date[]>()(byTwo);

  const wrong = async (tx: Knex.Transaction) => tx.isCompleted();
  // @ts-expect-error the library gives an EntityManager
  void app.transaction((body) => source.transaction(body), wrong);
  // @ts-expect-error a body alone gets nothing
  void app.transaction(async (tx: EntityManager) => tx.queryRunner);
  // @ts-expect-error nothing at all
  void app.transaction();
  // @ts-expect-error a promise comes too late: what it does has begun outside
  void app.transaction(enqueue(1));

  const settled = await (await enqueue(1)).settled();
  exactly<Receipt<{ loanId: number }> | RolledBack>()(settled);
  if (settled.status !== 'rolledBack') exactly<string>()(settled.id);
  // @ts-expect-error only a receipt has an id
  void settled.id;
}

describe('the types of app.transaction', () => {
  it('refuse at compile time what compileTime marks, and infer the rest', () => {
    expect(compileTime).to.be.a('function');
  });
});
