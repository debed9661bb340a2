import { BrokerUnavailableError, toError, UnreadableMessageError } from '../errors.js';
import { readDelivery, type Run } from '../worker/run.js';
import { Claimer } from '../worker/claim.js';
import { Seat } from '../worker/seat.js';
import { Slots } from '../worker/slots.js';
import type { Lease } from '../worker/lease.js';
import { workerPolicy } from '../declarations/uniqueness.js';
import type { Delivery } from '../transport.js';
import type { InspectorParts } from './parts.js';

/** What became of the messages of a queue. */
export interface PurgeCount {
  dropped: number;
  /** Of the dropped: what was no task message. */
  unreadable: number;
  /** Put back: newer arguments wait for its key, it still runs somewhere, or Redis did not say. */
  left: number;
}

/** Messages in hand at a time: each waits for Redis. */
const AT_ONCE = 50;
/** How many may wait for a lease to end at a time. */
const WAITING = 1_000;

/** Empties a queue as protocol.md has it: each message's key is freed before the message goes. */
export class Purge {
  readonly #parts: InspectorParts;
  readonly #claimer: Claimer;
  readonly #draining = new AbortController().signal;
  readonly #seats;

  constructor(parts: InspectorParts) {
    this.#parts = parts;
    const draining = this.#draining;
    this.#claimer = new Claimer({ ...parts, draining });
    this.#seats = { clock: parts.clock, slots: new Slots(AT_ONCE), waitingRoom: { free: WAITING }, draining };
  }

  /** As many messages as are ready now. `tell` is called after each. */
  async run(queue: string, tell: (count: PurgeCount) => void): Promise<PurgeCount> {
    const count: PurgeCount = { dropped: 0, unreadable: 0, left: 0 };
    const { ready } = await this.#parts.transport.figures(queue);
    const pull = await this.#parts.transport.pull(queue);
    const open = new Set<Promise<void>>();
    const failures: unknown[] = [];
    try {
      for (let taken = 0; taken < ready && failures.length === 0; taken++) {
        const seat = new Seat(this.#seats);
        await seat.take();
        const delivery = await pull.next();
        if (delivery === undefined) break;
        const work: Promise<void> = this.#one(delivery, seat, count)
          .then(() => tell(count))
          // Whatever is awaited meanwhile, nobody looks at this promise: kept, or the process would end of it.
          .catch((error: unknown) => failures.push(error))
          .then(() => void open.delete(work));
        open.add(work);
      }
    } finally {
      await Promise.all(open);
      await pull.close();
    }
    if (failures.length > 0) throw toError(failures[0]);
    return count;
  }

  /** What is left stays unsettled until the pull closes, so that it does not come again. */
  async #one(delivery: Delivery, seat: Seat, count: PurgeCount): Promise<void> {
    const { registry, namespace } = this.#parts;
    const run = readDelivery(delivery, registry, namespace);
    try {
      if (await this.#freed(run, seat)) {
        if (delivery.ack() === 'stale') throw new BrokerUnavailableError(`the link to '${delivery.queue}' was lost`);
        count.dropped++;
        if (run.problem instanceof UnreadableMessageError) count.unreadable++;
      } else count.left++;
    } finally {
      seat.leave();
    }
  }

  /** True when the message may go: its key is free of it, somebody else's, or it has none. */
  async #freed(run: Run, seat: Seat): Promise<boolean> {
    const outcome = await this.#claimer.claim(run, seat);
    if (outcome !== undefined) return outcome.kind === 'covered' || outcome.kind === 'discarded';
    const { lease } = run;
    return lease === undefined || this.#release(run, lease);
  }

  /**
   * Arguments of others that wait for this run are not ours to drop: the message goes back and takes them up. Every node
   * is asked, for one that lost its memory knows of none.
   */
  async #release(run: Run, lease: Lease): Promise<boolean> {
    const { guard } = this.#parts;
    lease.stop();
    const { record, identity } = lease;
    const own = run.lock?.fence ?? 0;
    const kept = await guard.newest(record, identity);
    const pending = kept === 'unknown' || (kept !== 'none' && kept.seq > own);
    if (!pending && (await guard.release(record, identity, { seq: own, dead: true })) === 'ok') return true;
    await guard.hold(record, identity, workerPolicy(run.definition).ttl);
    return false;
  }
}
