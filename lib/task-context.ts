import { AsyncLocalStorage } from 'node:async_hooks';
import { TaskError } from './errors.js';
import type { LogLevel } from './signals.js';
import type { Class } from './task-definition.js';

/** Writes a line to the worker's log, with the task's id and name. */
export type TaskLog = Readonly<Record<LogLevel, (message: string, data?: object) => void>>;

/** What a running task knows of itself. */
export interface TaskContext {
  readonly id: string;
  /** The task's name. */
  readonly task: string;
  /** The unique key; undefined for a plain task. */
  readonly key: string | undefined;
  /** From 1; a redelivery does not count. */
  readonly attempt: number;
  /** How many times this delivery has run before because newer arguments arrived. */
  readonly rerun: number;
  /**
   * Larger for each accepted run of the key, below 2^53; undefined for a plain task. Guard your write with it
   * (`… WHERE fence < $fence`), and a run that lost its lease cannot overwrite its successor's result.
   */
  readonly fence: number | undefined;
  /** Aborts when the run may no longer go on; `reason` says why. Heed it: the next run waits until the body has ended. */
  readonly signal: AbortSignal;
  /** The broker delivered this message before. */
  readonly redelivered: boolean;
  readonly enqueuedAt: Date | undefined;
  readonly log: TaskLog;
  /** Tells listeners of `task:progress` how far the task is. */
  progress(done: number, total: number): void;
}

/** A method of a class, by the prototype that has it. */
export interface Place {
  readonly prototype: object;
  readonly method: string;
}

/**
 * What a run came to do, under the lock that it has: the first call of its method is the run itself. Whatever is called
 * later takes its own lock, and so does everything once the run has ended.
 */
export class Entry {
  readonly #prototype: object;
  readonly #method: string;
  /** Few bodies are guarded methods, and nobody asks for the others. */
  #passed: Set<object> | undefined;
  #open = true;

  /** `begun`: the prototype whose method is the body, when the run calls it directly. */
  constructor(service: Class, method: string, begun?: object) {
    this.#prototype = service.prototype as object;
    this.#method = method;
    if (begun !== undefined) this.#passed = new Set([begun]);
  }

  /** True once for the method of the class, and once for each that it overrides, for it may call them by `super`. */
  admits({ prototype, method }: Place): boolean {
    if (!this.#open || method !== this.#method || this.#passed?.has(prototype) === true) return false;
    if (prototype !== this.#prototype && !Object.prototype.isPrototypeOf.call(prototype, this.#prototype)) return false;
    this.#passed = (this.#passed ?? new Set()).add(prototype);
    return true;
  }

  close(): void {
    this.#open = false;
  }
}

/** Of a run, what the tasks that it enqueues say of their origin. */
interface Rooted {
  /** The task that it all began with; undefined when that is the run's own, or nobody knows. */
  readonly rootId?: string | undefined;
}

/** The context of a run, the app it belongs to, and the call that is its body. */
interface Scope {
  readonly context: TaskContext & Rooted;
  readonly app: object;
  readonly entry: Entry;
}

const scopes = new AsyncLocalStorage<Scope>();

/** Runs `body` so that `taskContext()` and `tasks()` inside it, and in what it awaits, find this run; who calls it closes the entry. */
export function runInScope<A extends readonly unknown[], R>(scope: Scope, body: (...args: A) => R, ...args: A): R {
  return scopes.run(scope, body, ...args);
}

/** Is this call the body of the current run? */
export const isBody = (place: Place): boolean => scopes.getStore()?.entry.admits(place) ?? false;

/** Where a task that is enqueued now comes from; undefined outside a run. */
export function currentOrigin(): { readonly rootId: string; readonly parentId: string } | undefined {
  const context = scopes.getStore()?.context;
  return context && { rootId: context.rootId ?? context.id, parentId: context.id };
}

/** The app of the current run; undefined outside a run. */
export const currentApp = (): object | undefined => scopes.getStore()?.app;

/**
 * The context of the current run, from anywhere below the task's method.
 * @throws TaskError `NO_CONTEXT` outside a run.
 */
export function taskContext(): TaskContext {
  const scope = scopes.getStore();
  if (scope === undefined) {
    throw new TaskError(
      'NO_CONTEXT',
      'taskContext() was called outside a run: a plain call has a context under @ShouldCompute only',
    );
  }
  return scope.context;
}
