import { setImmediate as otherWork } from 'node:timers/promises';
import type { Receipt } from 'solotask';
import type { LoanEvent } from './events.js';
import type { LoanStore } from './loan-store.js';

/** Events under way at a time: enough to keep the broker busy, few enough to be fair to a worker in this process. */
const IN_FLIGHT = 64;

/** What became of the events at enqueue. */
export interface Tally {
  events: number;
  discarded: number;
  /** Of the discarded: while the holder was running, so that the run may have missed the event. */
  discardedWhileRunning: number;
  /** Task ids of what was published. */
  readonly published: Set<string>;
}

/** Commits each event, and then enqueues the recomputation of its loan. */
export async function streamEvents(
  events: Iterable<LoanEvent>,
  store: LoanStore,
  enqueue: (loanId: number) => Promise<Receipt>,
  step: () => void,
): Promise<Tally> {
  const tally: Tally = { events: 0, discarded: 0, discardedWhileRunning: 0, published: new Set() };
  const queue = iterateOnce(events);
  const lane = async (): Promise<void> => {
    for (const event of queue) {
      store.record(event);
      count(tally, await enqueue(event.loanId));
      step();
      await otherWork();
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  return tally;
}

function count(tally: Tally, { status, id, holder }: Receipt): void {
  tally.events++;
  if (status === 'enqueued') tally.published.add(id);
  else tally.discarded++;
  if (holder?.phase === 'running') tally.discardedWhileRunning++;
}

/** All lanes take from one iterator; one that fails closes it for the others. */
function* iterateOnce<T>(items: Iterable<T>): Generator<T> {
  yield* items;
}
