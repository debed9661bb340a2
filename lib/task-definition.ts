/** A class, as a value. `abstract` takes in everything that can be listed in `services`. */
export type Class<T extends object = object> = abstract new (...args: never[]) => T;

/** How long a body may take to end after its signal has fired, ms; then a thread is ended, and others are given up. */
export const ABORT_GRACE = 1_000;

/** What happens to a duplicate; see docs/internals.md. */
export type OnDuplicate = 'discard' | 'coalesce' | 'reject' | 'requeue';

/** One parameter of a task method. */
export interface ParameterDefinition {
  /** From the compiled method or `@Key`; undefined for a destructured parameter. */
  readonly name: string | undefined;
  /** From `design:paramtypes`; undefined when the code was compiled without decorator metadata. */
  readonly type: Class | undefined;
  /** A rest parameter takes every argument from its place on. */
  readonly rest: boolean;
}

/** Retry settings, checked and in milliseconds. */
export interface RetryPolicy {
  /** Runs in all, the first included. */
  readonly attempts: number;
  /** Before the second run, ms. */
  readonly delay: number;
  readonly factor: number;
  /** Upper bound of one back-off, ms. */
  readonly maxDelay: number;
  /** Draws each back-off from its upper half, so that failures of one moment do not return in one moment. */
  readonly jitter: boolean;
}

/** How one side of a task treats its key. */
export interface UniquePolicy {
  readonly onDuplicate: OnDuplicate;
  /** How long a message that got lost may block its key, ms; delay and retry time are added. */
  readonly ttl: number;
  /** How long a run that gives no sign of life keeps its key, ms. */
  readonly lease: number;
  /** What an enqueue does when Redis cannot be reached. @default 'refuse' */
  readonly onLockError?: 'refuse' | 'publish';
  /** How long newcomers are dropped after a good run, ms; undefined: not at all. */
  readonly keepFor?: number | undefined;
}

/** A task, as its decorators declared it: frozen, resolved once at the app's start. */
export interface TaskDefinition {
  /** The name on the wire. */
  readonly name: string;
  readonly service: Class;
  readonly method: string;
  readonly queue: string;
  readonly acksLate: boolean;
  readonly retry: RetryPolicy;
  readonly priority: number | undefined;
  /** How long a message may wait for its first run, ms; undefined: for ever. */
  readonly expires: number | undefined;
  /** How long a body may run, ms; undefined: for ever. */
  readonly timeLimit: number | undefined;
  /** The body runs in a worker thread. */
  readonly thread: boolean;
  /** How often the message's stand-in asks after a long run, ms; undefined: the message stays unacknowledged during the run. */
  readonly long: number | undefined;
  /** What a body does when the link that brought its message is lost. */
  readonly onConnectionLoss: 'abort' | 'finish';
  /** Inside a transaction, an enqueue waits for its commit. */
  readonly afterCommit: boolean;
  readonly parameters: readonly ParameterDefinition[];
  /** Computes the unique key of these arguments; throws `KeyError`. Undefined for a plain task. */
  readonly key: ((args: readonly unknown[]) => string) | undefined;
  /** The key template as written, or `(function)`; for people. */
  readonly keyText: string | undefined;
  /** Set when a duplicate is dropped at enqueue (`@Task({ unique })`). */
  readonly unique: UniquePolicy | undefined;
  /** Set when the worker decides (`@ShouldCompute`). With both, `unique` decides at enqueue and this on the worker. */
  readonly shouldCompute: UniquePolicy | undefined;
}
