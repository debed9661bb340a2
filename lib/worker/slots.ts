/** A counting semaphore, first come first served: how many bodies run at once. */
export class Slots {
  #free: number;
  readonly #queue: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  /** Undefined when a slot was free, else a promise of one. */
  take(): Promise<void> | undefined {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    return new Promise((resolve) => this.#queue.push(resolve));
  }

  /** No limit any more: everybody who waits may pass. For a worker that drains, where nobody begins anything. */
  open(): void {
    this.#free = Infinity;
    for (const next of this.#queue.splice(0)) next();
  }

  give(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#free++;
    else next();
  }
}
