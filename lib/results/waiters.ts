import { onAbort } from '../clock.js';

/** One who waits. A ring that comes while it looks is remembered, so that none is lost. */
class Waiter {
  #rung = false;
  #wake: () => void = () => {};

  ring(): void {
    this.#rung = true;
    this.#wake();
  }

  async next(): Promise<void> {
    if (!this.#rung) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#rung = false;
  }
}

/** Told when a name gets its first waiter, and when its last one has gone. */
export interface WaiterEvents {
  first(name: string): void;
  last(name: string): void;
}

/** Those who wait for something, by its name. */
export class Waiters {
  readonly #events: WaiterEvents;
  readonly #waiting = new Map<string, Set<Waiter>>();

  constructor(events: WaiterEvents = { first() {}, last() {} }) {
    this.#events = events;
  }

  ring(name: string): void {
    for (const waiter of this.#waiting.get(name) ?? []) waiter.ring();
  }

  ringAll(): void {
    for (const name of this.#waiting.keys()) this.ring(name);
  }

  /** Looks now and at every ring, until there is something to see; undefined once `signal` has aborted. */
  async until<T>(name: string, signal: AbortSignal, look: () => Promise<T | undefined>): Promise<T | undefined> {
    const waiter = this.#join(name);
    const ring = (): void => waiter.ring();
    const forget = onAbort(signal, ring);
    try {
      while (!signal.aborted) {
        const seen = await look();
        if (seen !== undefined) return seen;
        if (!signal.aborted) await waiter.next();
      }
      return undefined;
    } finally {
      forget();
      this.#leave(name, waiter);
    }
  }

  #join(name: string): Waiter {
    const waiter = new Waiter();
    const others = this.#waiting.get(name);
    if (others !== undefined) others.add(waiter);
    else {
      this.#waiting.set(name, new Set([waiter]));
      this.#events.first(name);
    }
    return waiter;
  }

  #leave(name: string, waiter: Waiter): void {
    const all = this.#waiting.get(name);
    all?.delete(waiter);
    if (all?.size !== 0) return;
    this.#waiting.delete(name);
    this.#events.last(name);
  }
}
