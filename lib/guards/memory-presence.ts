import type { Clock } from '../clock.js';
import { PRESENT_WORKERS, type Presence, type PresenceRecord } from '../presence.js';

/** What the workers of one process say about themselves. */
export class MemoryPresence {
  /** As JSON text, so that nobody shares an object with anybody; until when. */
  readonly #entries = new Map<string, { readonly text: string; readonly until: number }>();

  /** The same entries, as a guard with this clock sees them. */
  at(clock: Clock): Presence {
    const entries = this.#entries;
    return {
      async put(key, record, ttl) {
        entries.set(key, { text: JSON.stringify(record), until: clock.now() + ttl });
      },
      async remove(key) {
        entries.delete(key);
      },
      async list(prefix) {
        const now = clock.now();
        const alive = [...entries].filter(([key, { until }]) => key.startsWith(prefix) && now < until);
        return alive.slice(0, PRESENT_WORKERS).map(([, { text }]) => JSON.parse(text) as PresenceRecord);
      },
    };
  }
}
