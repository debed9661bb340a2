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
  #timer: Timer | undefined;
  #stopped = false;

  constructor(parts: LeaseParts, grant: Grant, lost: (error: LeaseLostError) => void) {
    this.#parts = parts;
    this.record = grant.record;
    this.identity = grant.identity;
    this.#lease = grant.lease;
    this.#deadline = grant.sent + grant.lease;
    this.#lost = lost;
    this.#schedule(this.#lease / 3);
  }

  /** Ends the renewals; the key stays as it is. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /** Never later than the end of the lease: a run whose renewals stay unanswered must end by then. */
  #schedule(wait: number): void {
    const left = this.#deadline - this.#parts.clock.monotonic();
    this.#timer = this.#parts.clock.after(Math.max(0, Math.min(wait, left)), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    const { clock, guard } = this.#parts;
    const sent = clock.monotonic();
    // A timer is late when the event loop was blocked: what counts is the clock (client rule 5).
    if (sent >= this.#deadline) return this.#end('the lease has passed without an answer from Redis');
    const answer = await guard.renew(this.record, this.identity, this.#lease);
    if (this.#stopped) return;
    if (answer === 'lost') return this.#end('another worker waits for the key, or has it');
    if (answer === 'ok') this.#deadline = sent + this.#lease;
    this.#schedule(answer === 'ok' ? this.#lease / 3 : this.#lease / 20);
  }

  #end(why: string): void {
    if (this.#stopped) return;
    this.stop();
    this.#lost(new LeaseLostError(`the lock was lost: ${why}`, { record: this.record, fence: this.identity.fence }));
  }
}
