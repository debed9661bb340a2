import type { Database, Statement } from 'libsql';
import type { LoanTerms, Summary } from './amortisation.js';
import type { LoanEvent } from './events.js';
import { openDatabase } from './database.js';

/** A loan as the database has it. `version` is the id of its last event, 0 without any. */
export interface Loan {
  readonly id: number;
  readonly terms: LoanTerms;
  readonly events: readonly LoanEvent[];
  readonly version: number;
}

/** Who runs a body: the task's id and the fence of its lock, 0 for a task that has none. */
export interface Runner {
  readonly id: string;
  readonly fence: number;
}

/** A run that has begun, with the loan as it was then. */
export interface Run {
  readonly id: number;
  readonly runner: Runner;
  readonly loan: Loan;
}

/** How a message can end without a run. */
export type Fate = 'discarded' | 'coalesced' | 'dead';

/** What the loan service reads and writes. */
export class LoanStore {
  readonly #database: Database;
  readonly #statements = new Map<string, Statement>();

  constructor(path: string) {
    this.#database = openDatabase(path);
  }

  /** Opens a loan; one that exists keeps its terms. */
  open(id: number, { principal, rate, months }: LoanTerms): void {
    this.#run('INSERT OR IGNORE INTO loans VALUES (?, ?, ?, ?)', id, principal, rate, months);
  }

  /** Commits an event; the version that its loan has now. */
  record({ loanId, month, kind, value }: LoanEvent): number {
    return this.#transaction(() =>
      this.#run('INSERT INTO events (loan, month, kind, value) VALUES (?, ?, ?, ?)', loanId, month, kind, value),
    );
  }

  /** The loan with all its events; undefined when there is none. */
  find(id: number): Loan | undefined {
    const [terms] = this.#all<LoanTerms>('SELECT principal, rate, months FROM loans WHERE id = ?', id);
    if (terms === undefined) return undefined;
    const rows = this.#all<LoanEvent & { id: number }>(
      'SELECT id, loan AS loanId, month, kind, value FROM events WHERE loan = ? ORDER BY id',
      id,
    );
    return { id, terms, events: rows, version: rows.at(-1)?.id ?? 0 };
  }

  /** Reads the loan and notes that a run of it has started, as of one moment; undefined when there is no such loan. */
  begin(loanId: number, runner: Runner): Run | undefined {
    return this.#transaction(() => {
      const loan = this.find(loanId);
      if (loan === undefined) return undefined;
      const id = this.#run(
        'INSERT INTO runs (task, loan, version, fence, worker, started) VALUES (?, ?, ?, ?, ?, ?)',
        runner.id,
        loanId,
        loan.version,
        runner.fence,
        process.pid,
        this.#tick(),
      );
      return { id, runner, loan };
    });
  }

  /**
   * Writes the summary and notes that the run has ended well, at one moment. The fence keeps out the late write of a
   * run that has lost its lock while another one took over.
   */
  finish({ id, runner, loan }: Run, summary: Summary): void {
    this.#transaction(() => {
      this.#run(
        `INSERT INTO summaries VALUES (?, ?, ?, ?) ON CONFLICT (loan)
         DO UPDATE SET version = excluded.version, fence = excluded.fence, body = excluded.body
         WHERE excluded.fence >= summaries.fence`,
        loan.id,
        loan.version,
        runner.fence,
        JSON.stringify(summary),
      );
      this.#run('UPDATE runs SET ended = ?, good = 1 WHERE id = ?', this.#tick(), id);
    });
  }

  /** Notes that a run has ended without a summary. */
  fail({ id }: Run): void {
    this.#transaction(() => this.#run('UPDATE runs SET ended = ?, good = 0 WHERE id = ?', this.#tick(), id));
  }

  /** Notes that a message ended without a run; `running`: its duplicate was running then. */
  drop(task: string, fate: Fate, running: boolean): void {
    this.#run('INSERT OR IGNORE INTO drops VALUES (?, ?, ?)', task, fate, running ? 1 : 0);
  }

  /** Notes that a worker is ready. */
  hire(pid: number): void {
    this.#run('INSERT OR IGNORE INTO workers VALUES (?)', pid);
  }

  /** The text of the loan's summary, as it was written last. */
  summary(loanId: number): string | undefined {
    return this.#all<{ body: string }>('SELECT body FROM summaries WHERE loan = ?', loanId)[0]?.body;
  }

  /** Rows of a query, for the reports. */
  query<Row>(sql: string): Row[] {
    return this.#all<Row>(sql);
  }

  close(): void {
    this.#database.close();
  }

  /** The next tick; only inside a transaction, so that its order is that of the commits. */
  #tick(): number {
    this.#run('UPDATE ticks SET last = last + 1');
    return this.#all<{ last: number }>('SELECT last FROM ticks')[0]?.last ?? 0;
  }

  /** `IMMEDIATE`, because a transaction that reads first and writes later can be refused half-way. */
  #transaction<T>(body: () => T): T {
    return this.#database.transaction(body).immediate();
  }

  #all<Row>(sql: string, ...values: unknown[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** The id of the row that was inserted. */
  #run(sql: string, ...values: unknown[]): number {
    return Number(this.#prepare(sql).run(...values).lastInsertRowid);
  }

  #prepare(sql: string): Statement {
    const known = this.#statements.get(sql) ?? this.#database.prepare(sql);
    this.#statements.set(sql, known);
    return known;
  }
}

let shared: LoanStore | undefined;

/** The store of this process, opened at first use. `LOANS_DB` is its file, `loans.db` by default. */
export const loanStore = (): LoanStore => (shared ??= new LoanStore(process.env.LOANS_DB ?? 'loans.db'));
