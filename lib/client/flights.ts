import type { ReceiptHolder } from './receipt.js';

/** What a leader's enqueue came to; undefined when it failed for a reason of its own. */
export type Landing =
  | { readonly holder: ReceiptHolder; readonly enqueued: boolean }
  /** Nobody can be reached, or nobody takes the message: that holds for every newcomer, too. */
  | { readonly outage: Error }
  | undefined;

/**
 * How far a leader is. A newcomer may lean on what the leader learns only if it asked before the leader did:
 * - `gathering`: the claim was not sent yet, so whatever it finds holds for the newcomer too;
 * - `claiming`: a refusal may be older than the newcomer, but a grant leads to a message that is published later;
 * - `publishing`: the run may have begun before the newcomer asked.
 */
type Stage = 'gathering' | 'claiming' | 'publishing';

/** One enqueue of a key on its way; concurrent ones of this process may share its claim. */
export class Flight {
  #stage: Stage = 'gathering';
  /** Epoch ms at which the leader's message may be dropped; undefined: never. */
  readonly #expires: number | undefined;
  #land!: (landing: Landing) => void;
  readonly #landed = new Promise<Landing>((resolve) => (this.#land = resolve));

  constructor(expires: number | undefined) {
    this.#expires = expires;
  }

  /** Lets every newcomer of this tick join before the claim is sent. */
  async gather(): Promise<void> {
    await Promise.resolve();
    this.#stage = 'claiming';
  }

  depart(): void {
    this.#stage = 'publishing';
  }

  land(landing: Landing): void {
    this.#land(landing);
  }

  /**
   * Waits for the leader. Resolves to the holder when the newcomer is covered by it, else to undefined: ask again.
   * Rejects with an outage. A newcomer that may wait longer than the leader (`expires`) is never covered: Redis has to hear
   * of it.
   */
  async join(expires: number | undefined): Promise<ReceiptHolder | undefined> {
    const stage = this.#stage;
    const outlives = (expires ?? Infinity) > (this.#expires ?? Infinity);
    const landing = await this.#landed;
    if (landing !== undefined && 'outage' in landing) throw landing.outage;
    if (landing === undefined || outlives || stage === 'publishing') return undefined;
    return stage === 'gathering' || landing.enqueued ? landing.holder : undefined;
  }
}
