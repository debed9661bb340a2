import { sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import knexOf, { type Knex } from 'knex';
import pg from 'pg';
import { DataSource, type EntityManager } from 'typeorm';

/** A database library as the specs use it, with the table `loans (id)`. `Tx` is what it gives to a body. */
export interface Database<Tx = unknown> {
  transaction<T>(body: (tx: Tx) => Promise<T>): Promise<T>;
  savepoint<T>(tx: Tx, body: (tx: Tx) => Promise<T>): Promise<T>;
  insert(tx: Tx, id: number): Promise<unknown>;
  close(): Promise<unknown>;
}

/** Connections of a pool: fewer than the specs want at a time, so that they pass from one transaction to another. */
const POOL = 2;

async function typeOrm(url: string): Promise<Database<EntityManager>> {
  const source = await new DataSource({ type: 'postgres', url, extra: { max: POOL } }).initialize();
  return {
    transaction: (body) => source.transaction(body),
    savepoint: (tx, body) => tx.transaction(body),
    insert: (tx, id) => tx.query('INSERT INTO loans VALUES ($1)', [id]),
    close: () => source.destroy(),
  };
}

type DrizzleTx = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0];

async function drizzleOrm(url: string): Promise<Database<DrizzleTx>> {
  const pool = new pg.Pool({ connectionString: url, max: POOL });
  const db = drizzle({ client: pool });
  return {
    transaction: (body) => db.transaction(body),
    savepoint: (tx, body) => tx.transaction(body),
    insert: (tx, id) => tx.execute(sql`INSERT INTO loans VALUES (${id})`),
    close: () => pool.end(),
  };
}

async function knex(url: string): Promise<Database<Knex.Transaction>> {
  const db = knexOf({ client: 'pg', connection: url, pool: { min: 0, max: POOL } });
  return {
    transaction: (body) => db.transaction(body),
    savepoint: (tx, body) => tx.transaction(body),
    insert: (tx, id) => tx('loans').insert({ id }),
    close: () => db.destroy(),
  };
}

/** The libraries of the guide, by their names there. */
export const DATABASES: Readonly<Record<string, (url: string) => Promise<Database>>> = {
  TypeORM: typeOrm as (url: string) => Promise<Database>,
  Drizzle: drizzleOrm as (url: string) => Promise<Database>,
  Knex: knex as (url: string) => Promise<Database>,
};
