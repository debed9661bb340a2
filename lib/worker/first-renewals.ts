import type { Clock, Timer } from '../clock.js';

/** What is renewed some time after it was granted. */
interface Renewable {
  renew(): Promise<void>;
}

/**
 * The first renewals of all leases, by one timer. Nearly every run has ended long before its own, and to set a timer, to
 * cancel it and to collect it takes longer than its body's call.
 */
export class FirstRenewals {
  static readonly #all = new WeakMap<Clock, FirstRenewals>();
  readonly #clock: Clock;
  /** When each is due, by `clock.monotonic()`. */
  readonly #due = new Map<Renewable, number>();
  #timer: Timer | undefined;
  /** When the timer fires. */
  #next = Infinity;

  private constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those of one clock. */
  static of(clock: Clock): FirstRenewals {
    let renewals = FirstRenewals.#all.get(clock);
    if (renewals === undefined) FirstRenewals.#all.set(clock, (renewals = new FirstRenewals(clock)));
    return renewals;
  }

  add(lease: Renewable, due: number): void {
    this.#due.set(lease, due);
    if (due < this.#next) this.#fireAt(due);
  }

  delete(lease: Renewable): void {
    this.#due.delete(lease);
  }

  /** Later leases of one length are due later: it is set anew only when it has fired, or for a shorter one. */
  #fireAt(due: number): void {
    this.#timer?.cancel();
    this.#next = due;
    // What runs keeps the process alive by itself.
    this.#timer = this.#clock.after(due - this.#clock.monotonic(), () => this.#fire(), { idle: true });
  }

  #fire(): void {
    this.#next = Infinity;
    const now = this.#clock.monotonic();
    for (const [lease, due] of this.#due) {
      if (due > now) continue;
      this.#due.delete(lease);
      void lease.renew();
    }
    const next = Math.min(...this.#due.values());
    if (next < Infinity) this.#fireAt(next);
  }
}
