import { ClosedError } from '../errors.js';
import type { Worker } from '../worker/worker.js';
import type { WorkerSettings } from '../worker/worker-settings.js';

/** A worker of an app. `start`, `quiet` and `stop` as in docs/internals.md. */
export interface AppWorker {
  readonly settings: WorkerSettings;
  /** Deliveries under way. */
  readonly running: number;
  start(): Promise<void>;
  quiet(): Promise<void>;
  /**
   * Resolves when nothing is left to do: nothing ready in its queues, nothing on the way to them that is due, nothing in
   * hand. Retries and delays that are not due are not waited for. After `quiet` (or `maxTasks`): when what ran has ended.
   */
  drained(): Promise<void>;
  stop(options?: { timeout?: number }): Promise<{ aborted: number }>;
}

/** A worker before and after its links are open. */
export class WorkerHandle implements AppWorker {
  readonly settings: WorkerSettings;
  readonly #make: (settings: WorkerSettings) => Promise<Worker>;
  /** Those of the app that may have to be stopped. */
  readonly #open: Set<WorkerHandle>;
  #worker: Promise<Worker> | undefined;
  #live: Worker | undefined;

  constructor(settings: WorkerSettings, make: (settings: WorkerSettings) => Promise<Worker>, open: Set<WorkerHandle>) {
    this.settings = settings;
    this.#make = make;
    this.#open = open;
  }

  get running(): number {
    return this.#live?.running ?? 0;
  }

  async start(): Promise<void> {
    const making = (this.#worker ??= this.#begin());
    try {
      this.#live = await making;
      await this.#live.start();
    } catch (error) {
      // The next start tries again, with a new worker, unless this one was stopped.
      if (!(error instanceof ClosedError)) {
        this.#worker = undefined;
        this.#open.delete(this);
      }
      throw error;
    }
  }

  async quiet(): Promise<void> {
    await (await this.#started())?.quiet();
  }

  async drained(): Promise<void> {
    await (await this.#started())?.drained();
  }

  async stop(options?: { timeout?: number }): Promise<{ aborted: number }> {
    const stopped = await (await this.#started())?.stop(options);
    this.#open.delete(this);
    return stopped ?? { aborted: 0 };
  }

  #begin(): Promise<Worker> {
    this.#open.add(this);
    return this.#make(this.settings);
  }

  #started(): Promise<Worker | undefined> {
    return this.#worker?.catch(() => undefined) ?? Promise.resolve(undefined);
  }
}
