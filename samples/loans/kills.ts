import { setTimeout as pause } from 'node:timers/promises';
import type { Crew } from './crew.js';
import type { LoanStore } from './loan-store.js';

/**
 * Kills a worker `times` times, each time one that is in the middle of a run, at moments spread evenly over the stream.
 * Resolves with how many were killed: fewer when everything was over before.
 */
export async function killWorkers(
  times: number,
  { store, crew, share, over }: { store: LoanStore; crew: Crew; share: () => number; over: AbortSignal },
): Promise<number> {
  let killed = 0;
  while (killed < times && !over.aborted) {
    const due = share() >= (killed + 1) / (times + 1);
    if (due && busyWorkers(store).some((pid) => crew.kill(pid))) killed++;
    await pause(5);
  }
  return killed;
}

/** Processes that have a run under way, or had when they were killed; the latest first. */
const busyWorkers = (store: LoanStore): number[] =>
  store
    .query<{ worker: number }>('SELECT worker FROM runs WHERE ended IS NULL ORDER BY id DESC')
    .map(({ worker }) => worker);
