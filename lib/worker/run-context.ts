import type { MessageHead } from '../message.js';
import type { LogLevel, RunEvent, Signals } from '../signals.js';
import type { TaskContext, TaskLog } from '../task-context.js';
import type { Lease } from './lease.js';

/** What a context shows of a run: a delivery's, or that of a plain call. */
export interface RunView {
  readonly head: Pick<MessageHead, 'id' | 'task' | 'attempt' | 'enqueuedAt'>;
  readonly lock: { readonly key: string } | undefined;
  readonly lease: Lease | undefined;
  readonly signal: AbortSignal;
  readonly delivery: { readonly redelivered: boolean };
  event(): RunEvent;
}

/** `taskContext()` of one run: a view of it, so that a run that never asks pays next to nothing. */
export class RunContext implements TaskContext {
  readonly #run: RunView;
  readonly #signals: Signals;
  /** Re-runs come with `coalesce`. */
  readonly rerun = 0;

  constructor(run: RunView, signals: Signals) {
    this.#run = run;
    this.#signals = signals;
  }

  get id(): string {
    return this.#run.head.id;
  }

  get task(): string {
    return this.#run.head.task;
  }

  get key(): string | undefined {
    return this.#run.lock?.key;
  }

  get attempt(): number {
    return this.#run.head.attempt;
  }

  get fence(): number | undefined {
    return this.#run.lease?.identity.fence;
  }

  get signal(): AbortSignal {
    return this.#run.signal;
  }

  get redelivered(): boolean {
    return this.#run.delivery.redelivered;
  }

  get enqueuedAt(): Date | undefined {
    const { enqueuedAt } = this.#run.head;
    return enqueuedAt === undefined ? undefined : new Date(enqueuedAt);
  }

  get log(): TaskLog {
    return { debug: this.#say('debug'), info: this.#say('info'), warn: this.#say('warn'), error: this.#say('error') };
  }

  get progress(): (done: number, total: number) => void {
    return (done, total) => this.#signals.emit('task:progress', { ...this.#run.event(), done, total });
  }

  #say(level: LogLevel): (message: string, data?: object) => void {
    return (message, data) => this.#signals.emit('task:log', { ...this.#run.event(), level, message, data });
  }
}
