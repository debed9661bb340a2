import { Task, taskContext } from 'solotask';
import { pause, systemClock } from '../../lib/clock.js';
import type { Books } from './books.js';

/** ms */
export const LEASE = 3_000;
export const QUEUE = 'chaos';

const unique = { key: 'loan:<key>', lease: LEASE, ttl: '30s' } as const;
const retry = { attempts: 3, delay: 100 };

/** Two tasks, one a strategy; what they do is to be written down. */
export class Chaos {
  readonly #books: Books;
  readonly #name: string;

  constructor(books: Books, name: string) {
    this.#books = books;
    this.#name = name;
  }

  @Task({ queue: QUEUE, retry, unique: { ...unique, onDuplicate: 'coalesce' } })
  coalesce(key: string, version: number): Promise<void> {
    return this.#body(`coalesce ${key}`, version);
  }

  @Task({ queue: QUEUE, retry, unique: { ...unique, onDuplicate: 'discard' } })
  discard(key: string, version: number): Promise<void> {
    return this.#body(`discard ${key}`, version);
  }

  async #body(key: string, version: number): Promise<void> {
    const { id, attempt, fence = 0, signal } = taskContext();
    const number = this.#books.began({ key, version, id, attempt, fence, process: this.#name });
    await pause(systemClock, Math.random() * 60, signal);
    if (signal.aborted) {
      this.#books.ended(number, 'aborted');
      throw signal.reason;
    }
    if (Math.random() < 0.05) {
      this.#books.ended(number, 'threw');
      throw new Error('no luck');
    }
    this.#books.ended(number, 'good');
  }
}
