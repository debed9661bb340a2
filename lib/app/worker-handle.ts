import { ClosedError } from '../errors.js';
import type { RunEvent } from '../signals.js';
import type { Worker } from '../worker/worker.js';
import type { WorkerSettings } from '../worker/worker-settings.js';

/**
 * How a worker stands. `new`: not started. `starting`: its links are opened, or its consumers attached. `ready`: all of
 * them are attached. `detached`: one was lost, and is being re-established. `draining`: it takes no more work.
 */
export type WorkerState = 'new' | 'starting' | 'ready' | 'detached' | 'draining' | 'stopped';

/** A worker of an app. `start`, `quiet` and `stop` as in docs/internals.md. */
export interface AppWorker {
  readonly state: WorkerState;
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
  #stopped = false;

  constructor(settings: WorkerSettings, make: (settings: WorkerSettings) => Promise<Worker>, open: Set<WorkerHandle>) {
    this.settings = settings;
    this.#make = make;
    this.#open = open;
  }

  get running(): number {
    return this.#live?.running ?? 0;
  }

  /** The runs whose body is under way. */
  get bodies(): readonly RunEvent[] {
    return this.#live?.bodies ?? [];
  }

  get state(): WorkerState {
    if (this.#stopped) return 'stopped';
    if (this.#worker === undefined) return 'new';
    return this.#live?.state ?? 'starting';
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
    this.#stopped = true;
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
