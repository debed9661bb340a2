import { setImmediate as otherWork } from 'node:timers/promises';
import type { Receipt } from 'solotask';
import type { Promised } from './audit.js';
import type { LoanEvent } from './events.js';
import type { LoanStore } from './loan-store.js';

/** Events under way at a time: enough to keep the broker busy, few enough to be fair to a worker in this process. */
const IN_FLIGHT = 64;

/** What became of the events at enqueue. */
export interface Tally {
  events: number;
  published: number;
  coalesced: number;
  discarded: number;
  /** Of the coalesced and the discarded: while the holder was running, so that its run may have missed the event. */
  droppedWhileRunning: number;
  /** The published and the coalesced. */
  readonly promised: Promised[];
}

/** Commits each event, and then enqueues the recomputation of its loan. */
export async function streamEvents(
  events: Iterable<LoanEvent>,
  store: LoanStore,
  enqueue: (loanId: number) => Promise<Receipt>,
  step: () => void,
): Promise<Tally> {
  const tally: Tally = { events: 0, published: 0, coalesced: 0, discarded: 0, droppedWhileRunning: 0, promised: [] };
  const queue = iterateOnce(events);
  const lane = async (): Promise<void> => {
    for (const event of queue) {
      const version = store.record(event);
      count(tally, event.loanId, version, await enqueue(event.loanId));
      step();
      await otherWork();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  return tally;
}

function count(tally: Tally, loanId: number, version: number, { status, id, holder }: Receipt): void {
  tally.events++;
  if (status === 'enqueued') tally.published++;
  else if (status === 'coalesced') tally.coalesced++;
  else tally.discarded++;
  if (holder?.phase === 'running') tally.droppedWhileRunning++;
  if (status !== 'discarded') tally.promised.push({ task: id, loanId, version, coalesced: status === 'coalesced' });
}

/** All lanes take from one iterator; one that fails closes it for the others. */
function* iterateOnce<T>(items: Iterable<T>): Generator<T> {
  yield* items;
}
