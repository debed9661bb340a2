import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import type { ResultBackend } from '../../lib/result-backend.js';
import { createMemoryResults, MemoryResults } from '../../lib/results/memory.js';
import { createRedisResults } from '../../lib/results/redis.js';
import { testRedisUrl, uniqueName } from './servers.js';

/** Two backends that keep their results in one place, as two processes have them. */
export interface ResultBench {
  readonly writer: ResultBackend;
  readonly reader: ResultBackend;
}

/** Opens them; the spec closes them. */
export const RESULT_BACKENDS: Readonly<Record<string, () => ResultBench>> = {
  memory() {
    const store = new MemoryResults();
    const open = (): ResultBackend => createMemoryResults({ clock: systemClock, store });
    return { writer: open(), reader: open() };
  },

  redis() {
    const open = (): ResultBackend => createRedisResults({ redis: testRedisUrl(), clock: systemClock });
    return { writer: open(), reader: open() };
  },

  // A client with a prefix of its own: keys have it, channels have none.
  'redis, by a client': () => {
    const redis = new Redis(testRedisUrl(), { keyPrefix: `${uniqueName('prefix')}:`, lazyConnect: true });
    const open = (): ResultBackend => createRedisResults({ redis, clock: systemClock });
    return { writer: open(), reader: open() };
  },
};
