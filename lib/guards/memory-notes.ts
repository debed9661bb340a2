import type { Clock } from '../clock.js';
import type { Notes } from '../notes.js';

/** How often what is over is thrown away, ms. */
const SWEEP = 60_000;

/** What the workers of one process note. */
export class MemoryNotes {
  /** A mark counts as one; until when, epoch ms. */
  readonly #entries = new Map<string, { readonly count: number; readonly until: number }>();
  #swept = 0;

  /** The same notes, as a guard with this clock sees them. */
  at(clock: Clock): Notes {
    const count = (key: string): number => {
      const entry = this.#entries.get(key);
      return entry !== undefined && clock.now() < entry.until ? entry.count : 0;
    };
    const put = (key: string, value: number, ttl: number): void => {
      this.#sweep(clock.now());
      this.#entries.set(key, { count: value, until: clock.now() + ttl });
    };
    return {
      async mark(key, ttl) {
        put(key, 1, ttl);
        return true;
      },
      async marked(key) {
        return count(key) > 0;
      },
      async count(key, ttl) {
        const sum = count(key) + 1;
        put(key, sum, ttl);
        return sum;
      },
      forget: async (key) => void this.#entries.delete(key),
    };
  }

  #sweep(now: number): void {
    if (now - this.#swept < SWEEP) return;
    this.#swept = now;
    for (const [key, { until }] of this.#entries) if (until <= now) this.#entries.delete(key);
  }
}
