import type { Piscina } from 'piscina';
import { onAbort, pause, type Clock } from '../clock.js';
import type { Headers } from '../message.js';
import type { ResultBackend } from '../result-backend.js';
import type { Signals } from '../signals.js';
import type { Ending, Run } from './run.js';
import { PATIENCE } from './seat.js';
import { Slots } from './slots.js';
import { ThreadCall } from './thread-call.js';
import type { Job, ThreadData } from './thread-messages.js';

/** How a worker's threads are made. */
export interface ThreadSettings {
  /** The file that each of them runs. */
  readonly entry: URL;
  readonly data: ThreadData;
  /** Threads at once. */
  readonly size: number;
  /** Of the heap of each, MiB; undefined: as much as Node gives it. */
  readonly memory: number | undefined;
}

/** What a pool works with. */
export interface ThreadPoolParts {
  readonly clock: Clock;
  readonly signals: Signals;
  readonly results: ResultBackend | undefined;
  /** Aborts when the worker takes no more work. */
  readonly draining: AbortSignal;
}

/** How long the threads' apps may take to close, and the threads to end, ms. */
const CLOSE_TIME = 2_000;

/** The threads of one worker: made when they are first needed, then kept; one run in each at a time. */
export class ThreadPool {
  readonly #parts: ThreadPoolParts;
  readonly #settings: ThreadSettings;
  readonly #slots: Slots;
  #pool: Promise<Piscina> | undefined;

  constructor(parts: ThreadPoolParts, settings: ThreadSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#slots = new Slots(settings.size);
  }

  /**
   * Waits for a free thread, as long as one waits for a seat. False when there was none, the run was aborted, or the
   * worker drains: then its body does not begin.
   */
  async take(run: Run): Promise<boolean> {
    const { clock, draining } = this.#parts;
    const patience = new AbortController();
    const granted = this.#slots.take();
    if (granted !== undefined) {
      const timer = clock.after(PATIENCE, () => patience.abort());
      await first(granted, [draining, run.signal, patience.signal]);
      timer.cancel();
    }
    run.lease?.check();
    if (run.aborted === undefined && !draining.aborted && !patience.signal.aborted) return true;
    void (granted ?? Promise.resolve()).then(() => this.leave());
    return false;
  }

  /** Gives back what `take` gave. */
  leave(): void {
    this.#slots.give();
  }

  /**
   * Runs the body; never rejects. `began` is called when the app is loaded and the body comes next. By the headers of
   * `trace` what the thread does is below the run's span.
   */
  async call(run: Run, began: () => void, trace?: Headers): Promise<Ending> {
    try {
      const pool = await (this.#pool ??= this.#open());
      const parts = {
        ...this.#parts,
        post: (job: Job, signal: AbortSignal) =>
          pool.run(job, { transferList: [job.port], signal }) as Promise<unknown>,
        find: (id: number) => pool.threads.find(({ threadId }) => threadId === id),
      };
      const keeps = this.#parts.results !== undefined && !run.head.ignoreResult;
      return await new ThreadCall(run, parts, began).ending(keeps, trace);
    } finally {
      this.leave();
    }
  }

  /** Closes the apps of the threads, and ends these. No body runs any more. */
  async close(): Promise<void> {
    const pool = await this.#pool;
    if (pool === undefined) return;
    await this.#atMost(Promise.allSettled(pool.threads.map(() => pool.run(undefined, { name: 'close' }))));
    // Native code that does not come back keeps its thread from ending.
    await this.#atMost(pool.destroy());
  }

  async #atMost(work: Promise<unknown>): Promise<void> {
    const done = new AbortController();
    await Promise.race([work.then(() => done.abort()), pause(this.#parts.clock, CLOSE_TIME, done.signal)]);
  }

  async #open(): Promise<Piscina> {
    const { entry, data, size, memory } = this.#settings;
    const { Piscina: Pool } = await import('piscina');
    const pool = new Pool({
      filename: entry.href,
      name: 'run',
      workerData: data,
      minThreads: 0,
      maxThreads: size,
      // An idle thread that is ended has no time to close its links.
      idleTimeout: Infinity,
      // The loop of an idle thread has to turn: its links have heartbeats.
      atomics: 'disabled',
      recordTiming: false,
      ...(memory !== undefined && { resourceLimits: { maxOldGenerationSizeMb: memory } }),
    });
    pool.on('error', (error: Error) => this.#parts.signals.emit('thread:crashed', { error }));
    return pool;
  }
}

/** Resolves with the promise, or as soon as one of the signals aborts. */
function first(promise: Promise<void>, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const forget = signals.map((signal) => onAbort(signal, resolve));
    if (signals.some(({ aborted }) => aborted)) resolve();
    void promise.then(() => {
      resolve();
      for (const one of forget) one();
    });
  });
}
