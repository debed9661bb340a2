import type { AppWorker } from '../app/worker-handle.js';
import type { Clock } from '../clock.js';
import { EXIT } from './exit.js';
import type { Log } from './log.js';

/** npm passes the terminal's SIGINT on to a child that had it already: two this close are one key press, ms. */
const SAME_PRESS = 100;

/**
 * Turns signals into the end of the worker. SIGTERM and SIGINT: finish what runs, within the timeout. A second SIGINT:
 * abort it now. A third: end at once. An exception that nobody caught: as SIGTERM, with status 1.
 */
export class Stopper {
  /** The exit status, when the worker has stopped. */
  readonly ended: Promise<number>;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #timeout: number;
  #end: (status: number) => void = () => {};
  #worker: AppWorker | undefined;
  #stage: 'running' | 'stopping' | 'aborting' = 'running';
  #pressed = -Infinity;
  #crashed = false;

  /** @param timeout how long a stop waits for what runs, ms. */
  constructor(log: Log, clock: Clock, timeout: number) {
    this.#log = log;
    this.#clock = clock;
    this.#timeout = timeout;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  listen(): void {
    process.on('SIGTERM', () => this.#terminate('of SIGTERM'));
    process.on('SIGINT', () => this.#interrupt());
    // Rejections that nobody handles arrive here too, as Node's default has it.
    process.on('uncaughtException', (error, origin) => this.crash(error, `an error that nobody caught (${origin})`));
  }

  /** What the process cannot go on after: finishes what runs, and ends with status 1. */
  crash(error: Error, what: string): void {
    this.#crashed = true;
    this.#log.error({ event: 'worker:crashed', error }, `${what}: ${error.message}`);
    this.#terminate('of this error');
  }

  /** Nothing is left to do: status 0. */
  finish(why: string): void {
    this.#terminate(why);
  }

  /** From now on there is something to finish. Before, a signal ends the process at once. */
  guard(worker: AppWorker): void {
    this.#worker = worker;
  }

  #interrupt(): void {
    const now = this.#clock.monotonic();
    if (now - this.#pressed < SAME_PRESS) return;
    this.#pressed = now;
    if (this.#stage === 'running') return this.#terminate('of SIGINT');
    if (this.#stage === 'aborting') process.exit(EXIT.interrupted);
    this.#stage = 'aborting';
    this.#log.warn({ event: 'worker:aborting' }, 'SIGINT again: aborting what runs; once more ends at once');
    void this.#stop(0);
  }

  #terminate(why: string): void {
    if (this.#stage !== 'running') return;
    this.#stage = 'stopping';
    const text = `stopping because ${why}: up to ${this.#timeout / 1000} s for what runs`;
    this.#log.info({ event: 'worker:stopping' }, text);
    void this.#stop(this.#timeout);
  }

  async #stop(timeout: number): Promise<void> {
    try {
      const aborted = (await this.#worker?.stop({ timeout }))?.aborted ?? 0;
      this.#end(aborted > 0 || this.#crashed ? EXIT.failed : EXIT.ok);
    } catch (error) {
      this.#log.error({ error }, 'the worker could not stop cleanly');
      this.#end(EXIT.failed);
    }
  }
}
