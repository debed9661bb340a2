import type { Clock, Timer } from '../clock.js';
import type { Signals } from '../signals.js';
import type { Transport } from '../transport.js';
import type { Run } from './run.js';

/** What a watch works with. */
export interface LoopWatchParts {
  readonly clock: Clock;
  readonly signals: Signals;
  readonly transport: Pick<Transport, 'heartbeat'>;
}

/** Looks in the time that the loop may stand still. */
const LOOKS = 4;

/**
 * Tells of an event loop that stood still for more than half a heartbeat, and which bodies may be the cause: at two
 * heartbeats the broker gives the messages to another worker. One timer, whatever the load.
 */
export class LoopWatch {
  readonly #parts: LoopWatchParts;
  readonly #most: number;
  readonly #runs: () => Iterable<Run>;
  /** The tasks that have begun since the last look: a body may be over by the next. */
  readonly #entered = new Set<string>();
  #looked = 0;
  #timer: Timer | undefined;

  private constructor(parts: LoopWatchParts, most: number, runs: () => Iterable<Run>) {
    this.#parts = parts;
    this.#most = most;
    this.#runs = runs;
  }

  /** Undefined where no heartbeat is minded. `runs`: deliveries under way. */
  static of(parts: LoopWatchParts, runs: () => Iterable<Run>): LoopWatch | undefined {
    const { heartbeat } = parts.transport;
    return heartbeat === undefined ? undefined : new LoopWatch(parts, heartbeat / 2, runs);
  }

  start(): void {
    this.#looked = this.#parts.clock.monotonic();
    this.#wait();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** A body begins on the main thread. */
  entered(task: string): void {
    this.#entered.add(task);
  }

  #wait(): void {
    this.#timer = this.#parts.clock.after(this.#most / LOOKS, () => this.#look(), { idle: true });
  }

  #look(): void {
    const now = this.#parts.clock.monotonic();
    const still = now - this.#looked - this.#most / LOOKS;
    this.#looked = now;
    this.#wait();
    if (still > this.#most) this.#tell(still);
    this.#entered.clear();
  }

  #tell(still: number): void {
    const running = [...this.#runs()].filter(({ stage, definition }) => stage === 'running' && !definition?.thread);
    const tasks = new Set([...running.map(({ head }) => head.task), ...this.#entered]);
    this.#parts.signals.emit('loop:blocked', { seconds: still / 1000, tasks: [...tasks] });
  }
}
