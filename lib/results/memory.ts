import type { Clock } from '../clock.js';
import { ClosedError } from '../errors.js';
import { isAfter, RESULT_TIME, type ResultBackend, type ResultWish, type StoredResult } from '../result-backend.js';
import { decodeResult, encodeResult } from './celery-result.js';
import { Waiters } from './waiters.js';

interface Entry {
  /** Text, as on Redis: what is read back has been through JSON. */
  readonly text: string;
  /** Epoch ms at which it is forgotten. */
  readonly until: number;
}

/** How often what nobody asked for again is thrown away, ms. */
const SWEEP = 60_000;

/** The results of one process; backends that are given the same one see each other's. */
export class MemoryResults {
  readonly waiters = new Waiters();
  readonly #entries = new Map<string, Entry>();
  #swept = 0;

  /** Number of results that are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  read(id: string, now: number): string | undefined {
    const entry = this.#entries.get(id);
    return entry !== undefined && now < entry.until ? entry.text : undefined;
  }

  write(id: string, text: string, now: number): void {
    this.#sweep(now);
    this.#entries.set(id, { text, until: now + RESULT_TIME });
    this.waiters.ring(id);
  }

  #sweep(now: number): void {
    if (now - this.#swept < SWEEP) return;
    this.#swept = now;
    for (const [id, { until }] of this.#entries) if (until <= now) this.#entries.delete(id);
  }
}

/** What a backend in memory is made of. */
export interface MemoryResultsOptions {
  readonly clock: Clock;
  /** Shared by the backends that shall see each other's results. @default a new one */
  readonly store?: MemoryResults | undefined;
}

class MemoryResultBackend implements ResultBackend {
  readonly address = 'memory:';
  readonly #clock: Clock;
  readonly #store: MemoryResults;
  #closed = false;

  constructor({ clock, store = new MemoryResults() }: MemoryResultsOptions) {
    this.#clock = clock;
    this.#store = store;
  }

  async connect(): Promise<void> {
    this.#refuseClosed();
  }

  async store(id: string, task: string, result: StoredResult): Promise<void> {
    this.#refuseClosed();
    const now = this.#clock.now();
    if (result.status === 'dropped' && this.#store.read(id, now) !== undefined) return;
    this.#store.write(id, encodeResult({ id, task, now }, result), now);
  }

  async wait({ id, after }: ResultWish, signal: AbortSignal): Promise<StoredResult | undefined> {
    return this.#store.waiters.until(id, signal, async () => {
      this.#refuseClosed();
      const text = this.#store.read(id, this.#clock.now());
      const result = text === undefined ? undefined : decodeResult(id, text);
      return result !== undefined && isAfter(result, after) ? result : undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#store.waiters.ringAll();
  }

  #refuseClosed(): void {
    if (this.#closed) throw new ClosedError('the results were closed');
  }
}

/** Results in this process, in the same form as on Redis. For tests, demos and single processes. */
export function createMemoryResults(options: MemoryResultsOptions): ResultBackend {
  return new MemoryResultBackend(options);
}
