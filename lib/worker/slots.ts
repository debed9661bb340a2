/** Where a seat is taken and given back. */
export interface Places {
  /** Undefined when there was one, else a promise of one. */
  take(): Promise<void> | undefined;
  give(): void;
}

/** The waiting of one line, first come first served. */
type Line = (() => void)[];

/**
 * A counting semaphore: how many bodies run at once. Who waits stands in a line, and the lines take turns, so that a long
 * one holds up none of the others for more than a turn.
 */
export class Slots implements Places {
  #free: number;
  readonly #own: Line = [];
  /** Those in which somebody waits, in the order of their turns. */
  readonly #lines: Line[] = [];

  constructor(size: number) {
    this.#free = size;
  }

  /** A line of its own, for the deliveries of one queue. */
  line(): Places {
    const line: Line = [];
    return { take: () => this.take(line), give: () => this.give() };
  }

  take(line = this.#own): Promise<void> | undefined {
    if (this.#free > 0) {
      this.#free--;
      return undefined;
    }
    if (line.length === 0) this.#lines.push(line);
    return new Promise((resolve) => line.push(resolve));
  }

  /** No limit any more: everybody who waits may pass. For a worker that drains, where nobody begins anything. */
  open(): void {
    this.#free = Infinity;
    for (const line of this.#lines.splice(0)) for (const next of line.splice(0)) next();
  }

  give(): void {
    const line = this.#lines.shift();
    const next = line?.shift();
    if (line !== undefined && line.length > 0) this.#lines.push(line);
    if (next === undefined) this.#free++;
    else next();
  }
}
