/** A counting semaphore, first come first served: how many bodies run at once. */
export class Slots {
  #free: number;
  readonly #queue: (() => void)[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  /** True when a slot was free; else `taken` is called once there is one, unless it leaves before. */
  take(taken: () => void): boolean {
    if (this.#free > 0) {
      this.#free--;
      return true;
    }
    this.#queue.push(taken);
    return false;
  }

  /** No longer waits. */
  leave(taken: () => void): void {
    const place = this.#queue.indexOf(taken);
    if (place >= 0) this.#queue.splice(place, 1);
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
