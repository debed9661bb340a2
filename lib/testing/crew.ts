import type { App } from '../app/app.js';
import type { AppWorker } from '../app/worker-handle.js';
import { pause, systemClock } from '../clock.js';
import { ClosedError, TaskError } from '../errors.js';
import { currentApp, taskContext } from '../task-context.js';
import type { MemoryBroker } from '../transports/memory.js';
import type { Ledger } from './ledger.js';
import type { TestClock } from './test-clock.js';

/** What a crew works with. */
export interface CrewParts {
  readonly app: App;
  readonly clock: TestClock;
  readonly broker: MemoryBroker;
  readonly ledger: Ledger;
  /** The queues of the app, without those of somebody else. */
  readonly queues: () => readonly string[];
}

/** Nothing moved for so many turns of the event loop, and no body runs: only time can move it. */
const STILL = 3;
/** Bodies that enqueue inline wait for what they enqueued, each in a seat of its own. */
const DEEP = 1_000;

/** A worker that is there while somebody waits for its work, and skips the time in which it has none. */
export class Crew {
  readonly #parts: CrewParts;
  /** How many wait inside the body of a task, by its id. */
  readonly #waiting = new Map<string, number>();
  #onDuty = 0;
  readonly #workers: AppWorker[] = [];
  #closed = false;

  constructor(parts: CrewParts) {
    this.#parts = parts;
  }

  get onDuty(): boolean {
    return this.#onDuty > 0;
  }

  /** Ends every wait: what a test that timed out has left behind must not keep its process alive. */
  close(): void {
    this.#closed = true;
  }

  /** Works, and lets time pass until `end` (epoch ms, for ever when undefined), until nothing is left to do. */
  async untilQuiet({ end, runs, concurrency }: { end: number | undefined; runs: number; concurrency: number }) {
    const most = this.#parts.ledger.tally.runs + runs;
    const quiet = (still: boolean): boolean => still && !this.#mayMove(end);
    await this.#work(concurrency, end, quiet, () => {
      if (this.#parts.ledger.tally.runs > most) throw endless(runs);
    });
    if (end !== undefined) await this.#parts.clock.skip(end - this.#parts.clock.now());
  }

  /** Works until this task has ended. Rejects with what it died of. */
  async untilEnded(id: string): Promise<void> {
    const parent = currentApp() === undefined ? undefined : taskContext().id;
    this.#wait(parent, 1);
    try {
      await this.#work(DEEP, undefined, () => this.#parts.ledger.ending(id) !== undefined);
    } finally {
      this.#wait(parent, -1);
    }
    const error = this.#parts.ledger.ending(id)?.error;
    if (error !== undefined) throw error;
  }

  async #work(concurrency: number, end: number | undefined, done: (still: boolean) => boolean, check = () => {}) {
    await this.#enter(concurrency);
    try {
      for (let still = 0; !done(still >= STILL); still = this.#busy() ? 0 : still + 1) {
        check();
        if (this.#closed) throw new ClosedError('the test app was closed while tasks ran');
        await this.#cover(concurrency);
        if (still >= STILL) await this.#skip(end);
        await pause(systemClock, 0);
      }
    } finally {
      await this.#leave();
    }
  }

  async #enter(concurrency: number): Promise<void> {
    this.#onDuty += 1;
    try {
      await this.#parts.app.connect();
      await this.#cover(concurrency);
    } catch (error) {
      await this.#leave();
      throw error;
    }
  }

  /** A worker for the queues that have none: one call may name a queue that no task has. */
  async #cover(concurrency: number): Promise<void> {
    const covered = new Set(this.#workers.flatMap(({ settings }) => settings.queues));
    const queues = this.#parts.queues().filter((name) => !covered.has(name));
    if (queues.length === 0) return;
    const worker = this.#parts.app.worker({ queues, concurrency });
    this.#workers.push(worker);
    await worker.start();
  }

  async #leave(): Promise<void> {
    this.#onDuty -= 1;
    if (this.#onDuty === 0) await Promise.all(this.#workers.splice(0).map((worker) => worker.stop()));
  }

  #wait(parent: string | undefined, change: 1 | -1): void {
    if (parent !== undefined) this.#waiting.set(parent, (this.#waiting.get(parent) ?? 0) + change);
  }

  /** A body runs that waits for nothing of ours: its time is real. */
  #busy(): boolean {
    return [...this.#parts.ledger.running].some((id) => (this.#waiting.get(id) ?? 0) === 0);
  }

  /** Whether something would go on before `end`, if only time passed. */
  #mayMove(end: number | undefined): boolean {
    const { broker, queues } = this.#parts;
    return this.#next(end) !== undefined || (this.#idle && queues().some((name) => broker.ready(name) > 0));
  }

  async #skip(end: number | undefined): Promise<void> {
    const next = this.#next(end);
    if (next !== undefined) await this.#parts.clock.skip(next);
  }

  /** How much time to skip, ms: straight to the next message where no delivery waits for anything sooner. */
  #next(end = Infinity): number | undefined {
    const { broker, clock } = this.#parts;
    const due = broker.delayed.next;
    const ms = this.#idle ? due && Math.max(0, due - clock.now()) : clock.next;
    return ms !== undefined && clock.now() + ms <= end ? ms : undefined;
  }

  /** No delivery waits: those that are under way are bodies, and what these wait for comes by the broker. */
  get #idle(): boolean {
    const open = this.#workers.reduce((sum, { running }) => sum + running, 0);
    return open <= this.#parts.ledger.running.size;
  }
}

const endless = (runs: number): TaskError =>
  new TaskError(
    'ENDLESS',
    `drain() ended after ${runs} runs, and there is still work: does a task enqueue itself? Then say how much time ` +
      `shall pass, as in drain({ within: '1h' }), or raise runs`,
    { runs },
  );
