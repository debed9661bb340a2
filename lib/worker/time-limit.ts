import type { Clock, Timer } from '../clock.js';
import { TimeLimitError } from '../errors.js';
import type { Signals } from '../signals.js';
import { ABORT_GRACE } from '../task-definition.js';
import type { Run } from './run.js';

/** What a limit works with. */
export interface TimeLimitParts {
  readonly clock: Clock;
  readonly signals: Signals;
}

/** How long an aborted body is waited for, ms: a thread is ended after the first half, and needs a moment for it. */
export const graceOf = ({ definition }: Run): number => (definition?.thread === true ? 2 * ABORT_GRACE : ABORT_GRACE);

/** The time that one body has. When it is over the run has failed, and goes on only to end. */
export class TimeLimit {
  readonly #run: Run;
  readonly #limit: number;
  readonly #parts: TimeLimitParts;
  #end = Infinity;
  #timer: Timer | undefined;
  #stopped = false;

  private constructor(run: Run, limit: number, parts: TimeLimitParts) {
    this.#run = run;
    this.#limit = limit;
    this.#parts = parts;
  }

  /** Undefined for a run that has all the time it wants. A sender's limit counts where the task has none of its own. */
  static of(run: Run, parts: TimeLimitParts): TimeLimit | undefined {
    const limit = run.definition?.timeLimit ?? run.head.timeLimit;
    return limit === undefined ? undefined : new TimeLimit(run, limit, parts);
  }

  /** The body begins now. A thread may say so after it was given up. */
  start(): void {
    if (this.#stopped) return;
    this.#end = this.#parts.clock.monotonic() + this.#limit;
    this.#wait();
  }

  /** The body has ended: by the clock, for the timer is late when the event loop was blocked. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    if (this.#parts.clock.monotonic() >= this.#end) this.#over();
  }

  #wait(): void {
    const left = this.#end - this.#parts.clock.monotonic();
    this.#timer = this.#parts.clock.after(left, () => this.#look());
  }

  #look(): void {
    // The longest timer is shorter than the longest limit.
    if (this.#parts.clock.monotonic() < this.#end) return this.#wait();
    this.#over();
    this.#timer = this.#parts.clock.after(graceOf(this.#run), () => this.#overdue());
  }

  #over(): void {
    const { task } = this.#run.head;
    this.#run.timeOut(
      new TimeLimitError(`${task} ran longer than its time limit of ${this.#limit} ms`, { task, limit: this.#limit }),
    );
  }

  #overdue(): void {
    const { aborted, timedOut: error } = this.#run;
    // Of an aborted run the ack policy tells.
    if (aborted === undefined && error !== undefined) {
      this.#parts.signals.emit('task:overdue', { ...this.#run.event(), error });
    }
  }
}
