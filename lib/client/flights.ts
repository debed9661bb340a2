import { UnroutableError } from '../errors.js';
import type { Call } from './call.js';
import type { ReceiptHolder } from './receipt.js';

/** Who runs for the calls of a flight. `coalesced`: with the newest of their arguments. */
export interface Landed {
  readonly holder: ReceiptHolder;
  readonly enqueued: boolean;
  readonly coalesced: boolean;
  /** Of a holder's runs only those with a larger fence have these arguments; undefined: all have. */
  readonly after?: number;
}

/** What a leader's enqueue came to; undefined when it failed for a reason of its own. */
export type Landing =
  | Landed
  /** Nobody can be reached, or nobody takes the message: that holds for every newcomer, too. */
  | { readonly outage: Error }
  | undefined;

/**
 * How far a leader is. A newcomer may lean on what the leader learns only if it asked before the leader did:
 * - `gathering`: the claim was not sent yet, so whatever it finds holds for the newcomer too;
 * - `claiming`: a refusal may be older than the newcomer, but a grant leads to a message that is published later;
 * - `publishing`: the run may have begun before the newcomer asked.
 *
 * With `coalesce` the claim carries the newest arguments of those who gathered, and whoever comes after it was sent has
 * newer ones: he asks again.
 */
type Stage = 'gathering' | 'claiming' | 'publishing';

/** What a flight must know of a call that is being enqueued. */
export interface Passenger {
  readonly call: Call;
  /** Of two calls the later one has the larger number. */
  readonly order: number;
}

/** One enqueue of a key on its way; concurrent ones of this process may share its claim. */
export class Flight {
  /** Epoch ms at which the leader's message may be dropped; undefined: never. */
  readonly #expires: number | undefined;
  readonly #queue: string;
  #newest: Passenger;
  #stage: Stage = 'gathering';
  #landing: { readonly landing: Landing } | undefined;
  /** Made for the first who joins: most flights have nobody but their leader. */
  #landed: Promise<Landing> | undefined;
  #land: ((landing: Landing) => void) | undefined;

  constructor(leader: Passenger) {
    this.#newest = leader;
    this.#expires = leader.call.expires;
    this.#queue = leader.call.queue;
  }

  /** Whose arguments travel: the leader's, or with `coalesce` those of the newest call that gathered. */
  get newest(): Call {
    return this.#newest.call;
  }

  /** Lets every newcomer of this tick join before the claim is sent. */
  async gather(): Promise<void> {
    await Promise.resolve();
    this.#stage = 'claiming';
  }

  depart(): void {
    this.#stage = 'publishing';
  }

  /** The first landing counts. */
  land(landing: Landing): void {
    this.#landing ??= { landing };
    this.#land?.(this.#landing.landing);
  }

  #end(): Promise<Landing> {
    if (this.#landing !== undefined) return Promise.resolve(this.#landing.landing);
    return (this.#landed ??= new Promise((resolve) => (this.#land = resolve)));
  }

  /**
   * Waits for the leader. Resolves to the holder when the newcomer is covered by it, else to undefined: ask again.
   * Rejects with an outage. A newcomer that may wait longer than the leader (`expires`) is never covered: Redis has to hear
   * of it.
   */
  async join(newcomer: Passenger): Promise<Landed | undefined> {
    const { offer, expires = Infinity } = newcomer.call;
    const stage = this.#stage;
    const coalesce = offer !== undefined;
    const outlives = expires > (this.#expires ?? Infinity);
    // Who asks again himself takes his arguments along: handed over twice, they would run twice.
    const gathered = coalesce && stage === 'gathering' && !outlives;
    if (gathered && newcomer.order > this.#newest.order) this.#newest = newcomer;
    const landing = await this.#end();
    if (landing !== undefined && 'outage' in landing) {
      // One call may name a queue of its own: that it is gone says nothing of another.
      if (landing.outage instanceof UnroutableError && newcomer.call.queue !== this.#queue) return undefined;
      throw landing.outage;
    }
    if (landing === undefined || outlives || stage === 'publishing') return undefined;
    return stage === 'gathering' || (landing.enqueued && !coalesce) ? landing : undefined;
  }
}
