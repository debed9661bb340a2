import type { Clock } from './clock.js';

/** Where the fences that this process proposes come from; one for each process (or app) is right. */
export class FenceSource {
  readonly #clock: Clock;
  #last = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * A number below 2^53, larger than all that were issued here and than `seen`, the highest that a refusal told; at
   * least the wall clock in µs, so that processes that never met propose rising fences too. The random digits keep two
   * of them that share a millisecond apart.
   */
  next(seen = 0): number {
    const wall = this.#clock.now() * 1000 + Math.floor(this.#clock.random() * 1000);
    this.#last = Math.max(this.#last + 1, seen + 1, wall);
    return this.#last;
  }
}
