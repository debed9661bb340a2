import type { Clock, Timer } from '../clock.js';
import { LeaseLostError } from '../errors.js';
import type { Guard, Identity } from '../guard.js';

/** What a lease works with. */
export interface LeaseParts {
  readonly guard: Guard;
  readonly clock: Clock;
}

/** A granted claim: which key, whose, for how long from when. */
export interface Grant {
  readonly record: string;
  readonly identity: Identity;
  /** ms */
  readonly lease: number;
  /** When the claim was sent, by `clock.monotonic()`: the lease cannot end later than this plus its length. */
  readonly sent: number;
}

/** Keeps a running task's key: renews every third of the lease, and says when the key may be somebody else's. */
export class Lease {
  readonly record: string;
  readonly identity: Identity;
  readonly #parts: LeaseParts;
  readonly #lease: number;
  readonly #lost: (error: LeaseLostError) => void;
  #deadline: number;
  #renewal: Timer | undefined;
  /** Of its own, for a renewal that is not answered must not keep anybody from looking at the clock; few runs get so far. */
  #end: Timer | undefined;
  #stopped = false;

  constructor(parts: LeaseParts, grant: Grant, lost: (error: LeaseLostError) => void) {
    this.#parts = parts;
    this.record = grant.record;
    this.identity = grant.identity;
    this.#lease = grant.lease;
    this.#deadline = grant.sent + grant.lease;
    this.#lost = lost;
    // A claim that took long has left less than its third.
    this.#schedule(Math.min(this.#lease / 3, this.#deadline - parts.clock.monotonic()));
  }

  /** Ends the renewals; the key stays as it is. */
  stop(): void {
    this.#stopped = true;
    this.#renewal?.cancel();
    this.#end?.cancel();
  }

  /** Looks at the clock: after a blocked event loop what was due earlier may come before the timer. */
  check(): void {
    if (this.#parts.clock.monotonic() >= this.#deadline)
      this.#lose('the lease has passed without an answer from Redis');
  }

  #schedule(wait: number): void {
    this.#renewal = this.#parts.clock.after(wait, () => void this.#renew());
  }

  /** A timer is late when the event loop was blocked, and early when a renewal came: what counts is the clock. */
  #watch(): void {
    const left = this.#deadline - this.#parts.clock.monotonic();
    if (left <= 0) this.#lose('the lease has passed without an answer from Redis');
    else this.#end = this.#parts.clock.after(left, () => this.#watch());
  }

  async #renew(): Promise<void> {
    const { clock, guard } = this.#parts;
    const sent = clock.monotonic();
    if (sent >= this.#deadline) return this.#lose('the lease has passed without an answer from Redis');
    // The renewal looked at the clock until now; its answer may stay away.
    if (this.#end === undefined) this.#watch();
    const answer = await guard.renew(this.record, this.identity, this.#lease);
    if (this.#stopped) return;
    if (answer === 'lost') return this.#lose('another worker waits for the key, or has it');
    if (answer === 'ok') this.#deadline = sent + this.#lease;
    this.#schedule(answer === 'ok' ? this.#lease / 3 : this.#lease / 20);
  }

  #lose(why: string): void {
    if (this.#stopped) return;
    this.stop();
    this.#lost(new LeaseLostError(`the lock was lost: ${why}`, { record: this.record, fence: this.identity.fence }));
  }
}
