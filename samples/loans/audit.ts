import { summarise } from './amortisation.js';
import type { LoanStore } from './loan-store.js';

/** What the database says about the runs of a stream. */
export interface Audit {
  /** Times that a task's body was entered. */
  readonly runs: number;
  /** Of those: without an end, because their worker was killed. */
  readonly cut: number;
  /** Pairs of runs of one loan that were under way at the same time. */
  readonly overlaps: number;
  /** Messages that a worker dropped as duplicates, and that a later run covers. */
  readonly coalescedByWorker: number;
  /** Messages that a worker dropped as duplicates. */
  readonly discardedByWorker: number;
  /** Of these two: while their holder was running. */
  readonly droppedWhileRunning: number;
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
    cut: count('runs WHERE ended IS NULL'),
    overlaps: count(`runs a JOIN runs b ON a.loan = b.loan AND a.started < b.started
      AND b.started < coalesce(a.ended, a.started)`),
    coalescedByWorker: count(`drops WHERE fate = 'coalesced'`),
    discardedByWorker: count(`drops WHERE fate = 'discarded'`),
    droppedWhileRunning: count(`drops WHERE fate <> 'dead' AND running = 1`),
    dead: count(`drops WHERE fate = 'dead'`),
    loans: loans.length,
    stale: loans.filter(({ loan }) => isStale(store, loan)).length,
  };
}

/** An event that a run was promised for when it was enqueued. */
export interface Promised {
  /** What was published for it, or what it was coalesced with. */
  readonly task: string;
  readonly loanId: number;
  /** The loan's, with this event. */
  readonly version: number;
  readonly coalesced: boolean;
}

/**
 * The promises that are not kept yet. What was published has run to a good end, was discarded by a worker, or is a dead
 * letter; what was coalesced, by the caller or by a worker, was read by a run that came to a good end.
 */
export function unsettled(store: LoanStore, promised: readonly Promised[]): number {
  const fates = new Map(
    store
      .query<{ task: string; fate: string }>(
        `SELECT task, fate FROM drops UNION ALL SELECT task, 'ran' FROM runs WHERE good = 1`,
      )
      .map(({ task, fate }) => [task, fate]),
  );
  const versions = new Map(
    store
      .query<{ loan: number; version: number }>(
        'SELECT loan, max(version) AS version FROM runs WHERE good = 1 GROUP BY loan',
      )
      .map(({ loan, version }) => [loan, version]),
  );
  return promised.filter(({ task, loanId, version, coalesced }) => {
    const fate = fates.get(task);
    const read = version <= (versions.get(loanId) ?? 0);
    return coalesced || fate === 'coalesced' ? !read && fate !== 'dead' : fate === undefined;
  }).length;
}

function isStale(store: LoanStore, loanId: number): boolean {
  const loan = store.find(loanId);
  return loan === undefined || store.summary(loanId) !== JSON.stringify(summarise(loan.terms, loan.events));
}
