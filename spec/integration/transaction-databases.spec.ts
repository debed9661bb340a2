import { expect } from 'chai';
import { inspect } from 'node:util';
import pg from 'pg';
import { Task, type App, type Receipt } from 'solotask';
import { DATABASES, type Database } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { startPostgres, type Server } from '../support/servers.js';
import { onEveryStage } from '../support/stage.js';

const rollBack = new Error('rolled back');
const swallow = (error: unknown): void => expect(error).to.equal(rollBack) && undefined;

/** Both forms of `app.transaction` around a transaction of a database. */
const FORMS = {
  'that keeps its context': <T>(app: App, database: Database, body: (tx: unknown) => Promise<T>) =>
    app.transaction(() => database.transaction(body)),
  'handed over by a runner': <T>(app: App, database: Database, body: (tx: unknown) => Promise<T>) =>
    app.transaction((run) => database.transaction(run), body),
};

describe('app.transaction on a PostgreSQL of its own', () => {
  let postgres: Server;
  let client: pg.Client;
  const databases = new Map<string, Database>();

  before(async function () {
    this.timeout(60_000);
    postgres = await startPostgres();
    client = new pg.Client(postgres.url);
    await client.connect();
    await client.query('CREATE TABLE loans (id integer UNIQUE DEFERRABLE INITIALLY DEFERRED)');
    for (const [name, open] of Object.entries(DATABASES)) databases.set(name, await open(postgres.url));
  });

  after(async () => {
    await Promise.all([...databases.values()].map((database) => database.close()));
    await client?.end();
    await postgres?.stop();
  });

  beforeEach(() => client.query('TRUNCATE loans'));

  const rows = async (): Promise<number[]> =>
    (await client.query<{ id: number }>('SELECT id FROM loans ORDER BY id')).rows.map(({ id }) => id);

  onEveryStage('a transaction', (stage) => {
    /** An app, its tasks, and what is seen of a loan when its task runs. */
    function setUp() {
      const seen: number[] = [];
      class Loans {
        @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
        async recompute(loanId: number) {
          const { rowCount } = await client.query('SELECT FROM loans WHERE id = $1', [loanId]);
          if (rowCount === 1) seen.push(loanId);
        }
      }
      const app = stage.app([Loans]);
      const status = async (loanId: number): Promise<string> => {
        const receipt = await app.tasks(Loans).recompute(loanId);
        return receipt.status;
      };
      return { app, seen, status, enqueue: (loanId: number) => app.tasks(Loans).recompute(loanId) };
    }

    for (const library of Object.keys(DATABASES)) {
      for (const [form, transaction] of Object.entries(FORMS)) {
        describe(`of ${library}, ${form}`, () => {
          const database = (): Database => databases.get(library)!;

          // T1
          it('publishes after the commit what then finds its rows', async () => {
            const { app, seen, enqueue } = setUp();
            await app.worker().start();
            const receipts = await transaction(app, database(), async (tx) => {
              const made: Receipt[] = [];
              for (const loanId of [1, 2]) {
                await database().insert(tx, loanId);
                made.push(await enqueue(loanId));
              }
              return made;
            });
            expect(receipts.map(({ status }) => status)).to.deep.equal(['deferred', 'deferred']);
            await eventually(() => expect(seen).to.have.members([1, 2]));
          });

          // T1
          it('publishes and locks nothing after a rollback', async () => {
            const { app, enqueue } = setUp();
            let receipt: Receipt | undefined;
            const failed = transaction(app, database(), async (tx) => {
              await database().insert(tx, 1);
              receipt = await enqueue(1);
              throw rollBack;
            });
            await failed.catch(swallow);
            expect(await receipt?.settled()).to.deep.equal({ status: 'rolledBack' });
            expect(await rows()).to.deep.equal([]);
            expect(await stage.ready()).to.equal(0);
            expect(await stage.record('Loans.recompute', 'loan:1')).to.equal(undefined);
          });

          // T1
          it('publishes and locks nothing when the database refuses the commit', async () => {
            const { app, enqueue } = setUp();
            let receipt: Receipt | undefined;
            const failed = transaction(app, database(), async (tx) => {
              await database().insert(tx, 1);
              await database().insert(tx, 1);
              receipt = await enqueue(1);
            });
            expect(await failed.catch(inspect)).to.match(/duplicate key/);
            expect(await receipt?.settled()).to.deep.equal({ status: 'rolledBack' });
            expect(await stage.record('Loans.recompute', 'loan:1')).to.equal(undefined);
          });

          // T1
          it('drops what a savepoint that was rolled back had enqueued, and nothing else', async () => {
            const { app, seen, enqueue } = setUp();
            await transaction(app, database(), async (tx) => {
              for (const [loanId, end] of [[1], [2, rollBack], [3]] as const) {
                const savepoint = app.transaction(() =>
                  database().savepoint(tx, async (inner) => {
                    await database().insert(inner, loanId);
                    expect(await enqueue(loanId)).to.include({ status: 'deferred' });
                    if (end !== undefined) throw end;
                  }),
                );
                await savepoint.catch(swallow);
              }
              expect(await stage.ready()).to.equal(0);
            });
            expect(await rows()).to.deep.equal([1, 3]);
            expect(await stage.record('Loans.recompute', 'loan:2')).to.equal(undefined);
            await app.worker().start();
            await eventually(() => expect(seen).to.have.members([1, 3]));
          });

          it('is told from others that run at the same time on the same connections', async () => {
            const { app, status } = setUp();
            const ends = Array.from({ length: 10 }, (_, loanId) =>
              transaction(app, database(), async (tx) => {
                await database().insert(tx, loanId);
                expect(await status(loanId)).to.equal('deferred');
                await database().insert(tx, loanId + 100);
                expect(await status(loanId + 100)).to.equal('deferred');
                if (loanId % 2 === 1) throw rollBack;
              }).catch(swallow),
            );
            await Promise.all(ends);
            expect(await rows()).to.deep.equal([0, 2, 4, 6, 8, 100, 102, 104, 106, 108]);
            await eventually(async () => expect(await stage.ready()).to.equal(10));
            expect(await status(1)).to.equal('enqueued');
            expect(await status(2)).to.equal('discarded');
          });
        });
      }
    }
  });
});
