import type { Clock, Timer } from '../../clock.js';

/** What a log works with. */
export interface EventLogParts {
  readonly clock: Clock;
  /** Whether `send` is of use now. */
  readonly writable: () => boolean;
  readonly send: (events: readonly object[]) => void;
}

/** ms that an event waits for others, so that many go in one message. */
const GATHER = 50;
/** Events of a message. */
const MOST = 100;
/** Events that are kept while nothing can be sent; of more the oldest go. */
const KEPT = 1_000;

/** Events on their way out: gathered, and bounded whatever the broker does. */
export class EventLog {
  readonly #parts: EventLogParts;
  #events: object[] = [];
  #timer: Timer | undefined;
  #ended = false;

  constructor(parts: EventLogParts) {
    this.#parts = parts;
  }

  add(event: object): void {
    if (this.#ended) return;
    this.#events.push(event);
    if (this.#events.length >= MOST && this.#parts.writable()) this.flush();
    // Not one by one: a shift moves all the rest.
    if (this.#events.length >= 2 * KEPT) this.#events = this.#events.slice(-KEPT);
    this.#timer ??= this.#parts.clock.after(GATHER, () => this.flush(), { idle: true });
  }

  /** Sends what can be sent. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const { writable, send } = this.#parts;
    while (this.#events.length > 0 && writable()) send(this.#events.splice(0, MOST));
    if (this.#events.length > KEPT) this.#events = this.#events.slice(-KEPT);
  }

  /** Sends what can be sent; the rest, and what comes later, is dropped. */
  end(): void {
    this.flush();
    this.#events = [];
    this.#ended = true;
  }
}
