import type { MessageHead } from '../message.js';
import type { LogLevel, RunEvent, Signals } from '../signals.js';
import type { TaskContext, TaskLog } from '../task-context.js';

/** What a context shows of a run: a delivery's, or that of a plain call. */
export interface RunView {
  readonly head: Pick<MessageHead, 'id' | 'task' | 'attempt' | 'enqueuedAt' | 'rootId'>;
  readonly lock: { readonly key: string } | undefined;
  readonly lease: { readonly identity: { readonly fence: number } } | undefined;
  readonly signal: AbortSignal;
  readonly delivery: { readonly redelivered: boolean };
  readonly rerun: number;
  event(): RunEvent;
}

/** `taskContext()` of one run: a view of it, so that a run that never asks pays next to nothing. */
export class RunContext implements TaskContext {
  readonly #run: RunView;
  readonly #signals: Signals;
  readonly rerun: number;
  readonly attempt: number;
  readonly fence: number | undefined;

  constructor(run: RunView, signals: Signals) {
    this.#run = run;
    this.#signals = signals;
    // What differs between two runs of one delivery: a body's late children must not take the next one's fence for theirs.
    this.rerun = run.rerun;
    this.attempt = run.head.attempt;
    this.fence = run.lease?.identity.fence;
  }

  get id(): string {
    return this.#run.head.id;
  }

  /** For the tasks that the body enqueues. */
  get rootId(): string | undefined {
    return this.#run.head.rootId;
  }

  get task(): string {
    return this.#run.head.task;
  }

  get key(): string | undefined {
    return this.#run.lock?.key;
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
