import { AsyncLocalStorage } from 'node:async_hooks';
import { TaskError } from './errors.js';
import type { LogLevel } from './signals.js';

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

/** The context of a run, and the app it belongs to. */
interface Scope {
  readonly context: TaskContext;
  readonly app: object;
}

const scopes = new AsyncLocalStorage<Scope>();

/** Runs `body` so that `taskContext()` and `tasks()` inside it, and in what it awaits, find this run. */
export const runInScope = <R>(scope: Scope, body: () => R): R => scopes.run(scope, body);

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
      'taskContext() was called outside a run: a plain call of the method has no context',
    );
  }
  return scope.context;
}
