import type { Phase } from './guard.js';
import { toError } from './errors.js';

/** The task and the message an event is about. */
export interface TaskEvent {
  readonly task: string;
  readonly id: string;
  /** The unique key, when the task has one. */
  readonly key: string | undefined;
}

/** An event of one run on a worker. */
export interface RunEvent extends TaskEvent {
  readonly queue: string;
  /** From 1. */
  readonly attempt: number;
}

/** Why a duplicate was dropped: its holder waits, runs, is kept, or a run that covers it has ended. */
export type DiscardReason = 'queued' | 'running' | 'kept' | 'done';

/** Every event with its payload: a closed table. Each payload is one frozen object. */
export interface TaskEvents {
  /** `delay` in ms. `unguarded`: published without its lock, for Redis could not be reached (`onLockError: 'publish'`). */
  'task:enqueued': TaskEvent & { readonly queue: string; readonly delay: number; readonly unguarded: boolean };
  /** `id` was dropped, `holder.id` keeps the key. */
  'task:discarded': TaskEvent & {
    readonly holder: { readonly id: string; readonly phase: Phase | undefined };
    /** `call`: a plain call of a `@ShouldCompute` method. */
    readonly side: 'enqueue' | 'worker' | 'call';
    readonly reason: DiscardReason;
  };
  /** `id` was dropped: `holder.id`, which waits or runs, runs (once more) with its arguments, or has newer ones. */
  'task:coalesced': TaskEvent & {
    readonly holder: { readonly id: string; readonly phase: Phase };
    /** `call`: a plain call of a `@ShouldCompute` method. */
    readonly side: 'enqueue' | 'worker' | 'call';
  };
  'task:started': RunEvent & {
    readonly redelivered: boolean;
    readonly fence: number | undefined;
    /** How often this delivery has run before, for newer arguments. */
    readonly rerun: number;
    /** Since it was enqueued or, later, due; undefined of a re-run, and when the message does not say. */
    readonly waitSeconds: number | undefined;
    /** How long Redis took to grant the key; undefined for a plain task. */
    readonly claimSeconds: number | undefined;
  };
  'task:progress': RunEvent & { readonly done: number; readonly total: number };
  /** What a task said by `taskContext().log`. */
  'task:log': RunEvent & { readonly level: LogLevel; readonly message: string; readonly data: object | undefined };
  /** `recovered`: it had succeeded on an earlier delivery whose acknowledgement got lost; nothing ran now. */
  'task:succeeded': RunEvent & { readonly seconds: number; readonly recovered: boolean };
  /** One attempt ended badly, or was aborted; what becomes of it follows as `retried` or `dead`, or it is delivered again. */
  'task:failed': RunEvent & { readonly error: Error; readonly seconds: number };
  /** `delay` in ms; `attempt` is the one that failed. */
  'task:retried': RunEvent & { readonly delay: number; readonly error: Error };
  'task:dead': RunEvent & { readonly code: string; readonly error: Error };
  /** It waited longer than `expires` (epoch ms) and was dropped; its key is free. */
  'task:expired': RunEvent & { readonly expires: number };
  /** A transaction has committed, and a task that waited for it could not be enqueued: it is lost unless somebody acts. */
  'enqueue:failed': TaskEvent & { readonly queue: string; readonly error: Error };
  /** A retry or a dead letter could not be published to `to`; it is tried again while the delivery is ours. */
  'publish:failed': RunEvent & { readonly to: string; readonly error: Error };
  /** The body ignored its abort signal: its message went back, its key stays until the lease ends, its slot until it ends. */
  'task:overdue': RunEvent & { readonly error: Error };
  /** How the run ended could not be kept; nothing else changed. Who waits for the result runs into the timeout. */
  'result:lost': RunEvent & { readonly error: Error };
  /** The lease of a run is lost; its signal was aborted. */
  'lock:lost': RunEvent & { readonly error: Error };
  /**
   * A delivery waits for an earlier attempt's lease to end, at most `left` ms; or for its turn after another task
   * (`requeue`), whose lease ends in `left` ms unless it is renewed.
   */
  'lock:waiting': RunEvent & { readonly left: number };
  /** A worker thread died while no task ran in it: of what an earlier one had left behind. The next task gets another. */
  'thread:crashed': { readonly error: Error };
  /**
   * The event loop of a worker stood still for more than half the broker's heartbeat. `tasks`: those whose bodies were
   * under way on the main thread; one of them computes, and belongs into a thread (`thread: true`).
   */
  'loop:blocked': { readonly seconds: number; readonly tasks: readonly string[] };
  'broker:connected': { readonly link: 'publish' | 'consume'; readonly address: string };
  'broker:disconnected': { readonly link: 'publish' | 'consume'; readonly error: Error | undefined };
  'broker:blocked': { readonly blocked: boolean; readonly reason: string | undefined };
  /** No quorum of Redis nodes answers (`error`), or it does again (undefined). */
  'redis:unavailable': { readonly error: Error | undefined };
  'redis:warning': { readonly message: string };
  'worker:ready': { readonly queues: readonly string[]; readonly concurrency: number };
  'worker:quiet': { readonly running: number };
  'worker:stopped': { readonly aborted: number };
  /** A listener threw; nothing else changed. */
  'listener:failed': { readonly event: string; readonly error: Error };
}

/** Levels of `taskContext().log`. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
/** The name of an event. */
export type EventName = keyof TaskEvents;
/** Called with one frozen payload each time; what it throws is reported and changes nothing. */
export type Listener<E extends EventName> = (event: Readonly<TaskEvents[E]>) => void;

/** The one place where the library says what happens. Logs and metrics are subscribers. */
export class Signals {
  readonly #listeners = new Map<EventName, Set<Listener<never>>>();

  /** Called instead of the listeners. */
  #elsewhere: ((event: EventName, payload: object) => void) | undefined;

  /** From now on `to` is told what happens, and nobody else: listeners of another thread, say. */
  divert(to: (event: EventName, payload: object) => void): void {
    this.#elsewhere = to;
  }

  /** Returns the function that unsubscribes. */
  on<E extends EventName>(event: E, listener: Listener<E>): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** Whether anybody is told of it: what happens with every message is not even put into words else. */
  hears(event: EventName): boolean {
    return this.#elsewhere !== undefined || (this.#listeners.get(event)?.size ?? 0) > 0;
  }

  emit<E extends EventName>(event: E, payload: TaskEvents[E]): void {
    if (this.#elsewhere !== undefined) return this.#elsewhere(event, payload);
    const listeners = this.#listeners.get(event);
    if (listeners === undefined) return;
    const frozen = Object.freeze(payload) as never;
    for (const listener of listeners) this.#tell(event, listener, frozen);
  }

  #tell(event: EventName, listener: Listener<never>, payload: never): void {
    try {
      // A listener may be an async function in spite of its type: its rejection is a failure like any other.
      const returned: unknown = listener(payload);
      if (returned instanceof Promise) returned.catch((error: unknown) => this.#failed(event, error));
    } catch (error) {
      this.#failed(event, error);
    }
  }

  #failed(event: EventName, thrown: unknown): void {
    const error = toError(thrown);
    // A failing reporter has nobody left to report to but the process.
    if (event === 'listener:failed' || !this.#listeners.has('listener:failed')) process.emitWarning(error);
    else this.emit('listener:failed', { event, error });
  }
}
