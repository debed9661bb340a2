import { ShouldCompute, Task, taskContext } from 'solotask';
import { pause, systemClock } from '../../lib/clock.js';
import type { Books } from './books.js';

/** ms */
export const LEASE = 3_000;
export const QUEUE = 'chaos';

/** The methods of `Chaos`. */
export const RECIPES = ['coalesce', 'discard', 'worker'] as const;
export type Recipe = (typeof RECIPES)[number];

const unique = { key: 'loan:<key>', lease: LEASE, ttl: '30s' } as const;
const SOON = { attempts: 3, delay: 100 };
/** By the broker's delay queues. */
const LATER = { attempts: 3, delay: '1s' };

/** Three tasks, one a recipe; what they do is to be written down. */
export class Chaos {
  readonly #books: Books;
  readonly #name: string;

  constructor(books: Books, name: string) {
    this.#books = books;
    this.#name = name;
  }

  @Task({ queue: QUEUE, retry: SOON, unique: { ...unique, onDuplicate: 'coalesce' } })
  coalesce(key: string, version: number): Promise<void> {
    return this.#body(`coalesce ${key}`, version);
  }

  @Task({ queue: QUEUE, retry: LATER, unique: { ...unique, onDuplicate: 'discard' } })
  discard(key: string, version: number): Promise<void> {
    return this.#body(`discard ${key}`, version);
  }

  @Task({ queue: QUEUE, retry: LATER })
  @ShouldCompute({ key: unique.key, lease: LEASE, onDuplicate: 'coalesce' })
  worker(key: string, version: number): Promise<void> {
    return this.#body(`worker ${key}`, version);
  }

  async #body(key: string, version: number): Promise<void> {
    const { id, attempt, fence = 0, signal } = taskContext();
    const number = this.#books.began({ key, version, id, attempt, fence, process: this.#name });
    const draw = Math.random();
    // Some take longer than a lease, so that renewals count.
    await pause(systemClock, draw < 0.02 ? LEASE * (1 + Math.random()) : Math.random() * 60, signal);
    if (signal.aborted) {
      this.#books.ended(number, 'aborted');
      throw signal.reason;
    }
    if (draw > 0.85) {
      this.#books.ended(number, 'threw');
      throw new Error('no luck');
    }
    this.#books.ended(number, 'good');
  }
}
