import { summarise } from './amortisation.js';
import type { LoanStore } from './loan-store.js';

/** What the database says about the runs of a stream. */
export interface Audit {
  /** Times that a task's body was entered. */
  readonly runs: number;
  /** Pairs of runs of one loan that were under way at the same time. */
  readonly overlaps: number;
  /** Messages that a worker dropped as duplicates. */
  readonly discardedByWorker: number;
  /** Of those: while their holder was running. */
  readonly discardedByWorkerWhileRunning: number;
  /** Messages in the dead letters. */
  readonly dead: number;
  /** Loans that have events. */
  readonly loans: number;
  /** Of those: whose summary is not what a fresh computation gives, or is missing. */
  readonly stale: number;
}

/** Reads the books. A run without an end was killed; nothing is known of it but that it was there when it started. */
export function audit(store: LoanStore): Audit {
  const count = (sql: string): number => store.query<{ n: number }>(`SELECT count(*) AS n FROM ${sql}`)[0]?.n ?? 0;
  const loans = store.query<{ loan: number }>('SELECT DISTINCT loan FROM events');
  return {
    runs: count('runs'),
    overlaps: count(`runs a JOIN runs b ON a.loan = b.loan AND a.started < b.started
      AND b.started < coalesce(a.ended, a.started)`),
    discardedByWorker: count(`drops WHERE fate = 'discarded'`),
    discardedByWorkerWhileRunning: count(`drops WHERE fate = 'discarded' AND running = 1`),
    dead: count(`drops WHERE fate = 'dead'`),
    loans: loans.length,
    stale: loans.filter(({ loan }) => isStale(store, loan)).length,
  };
}

/** The published tasks that have neither run to a good end, nor been discarded by a worker, nor become dead letters. */
export function unsettled(store: LoanStore, published: ReadonlySet<string>): number {
  const settled = store.query<{ task: string }>('SELECT task FROM runs WHERE good = 1 UNION SELECT task FROM drops');
  return published.size - settled.filter(({ task }) => published.has(task)).length;
}

function isStale(store: LoanStore, loanId: number): boolean {
  const loan = store.find(loanId);
  return loan === undefined || store.summary(loanId) !== JSON.stringify(summarise(loan.terms, loan.events));
}
