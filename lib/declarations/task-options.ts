import type { Duration } from '../duration.js';
import type { RetryOptions } from './retry-policy.js';
import type { OnDuplicate } from '../task-definition.js';

/** `unique` written out: a key, and what holds for it. */
export interface UniqueOptions<K = string> {
  /** A template such as `'loan:<loanId>'`, or a function of the arguments. */
  readonly key: K;
  /**
   * What happens to a duplicate at enqueue. `'discard'`: dropped. `'coalesce'`: its arguments replace those of the waiting
   * task, and a running one runs once more with them; arguments of at most 16 KiB. `'reject'`: a `DuplicateTaskError` to
   * the caller.
   *
   * @default 'discard'
   */
  readonly onDuplicate?: Exclude<OnDuplicate, 'requeue'>;
  /**
   * How long a message that got lost may block its key; delay and retry time are added. At least 100 ms.
   *
   * @default '10m'
   */
  readonly ttl?: Duration;
  /**
   * How long a run that gives no sign of life keeps its key. At least 100 ms.
   *
   * @default '15s'
   */
  readonly lease?: Duration;
  /** Drops newcomers for good for this long after a good run; not together with `'coalesce'`. */
  readonly keepFor?: Duration;
  /**
   * What an enqueue does when Redis cannot be reached: throw a `LockUnavailableError`, or publish without the lock. The
   * worker's claim still lets one run at a time, but duplicates may be queued; `task:enqueued` counts them as `unguarded`.
   *
   * @default 'refuse'
   */
  readonly onLockError?: 'refuse' | 'publish';
}

/** What `@Task` takes. */
export interface TaskOptions<K = string> {
  /**
   * The name on the wire; set it to rename classes safely.
   *
   * @default `Class.method`, with the class that is listed in `services`
   */
  readonly name?: string;
  /** @default 'tasks' */
  readonly queue?: string;
  /** Drops duplicates at enqueue: a key template, a key function, or both with options. */
  readonly unique?: K | UniqueOptions<K>;
  /**
   * Acknowledge after the run (at least once); `false` acknowledges as the body starts (at most once).
   *
   * @default true
   */
  readonly acksLate?: boolean;
  /** An object, the number of runs in all, or `false` for one run. */
  readonly retry?: RetryOptions | number | false;
  /**
   * How long a body may run; at least 1 ms. Then its signal aborts, and the run has failed with a `TimeLimitError`,
   * whatever becomes of it: it is retried, or goes to the dead letters. In a thread a body that goes on for another second
   * is ended; on the main thread it keeps its slot and its key until it ends by itself (`task:overdue`).
   *
   * @default none
   */
  readonly timeLimit?: Duration;
  /**
   * Runs the body in a worker thread, for computation: heartbeats and renewals go on meanwhile. See docs/heavy-tasks.md.
   *
   * @default false
   */
  readonly thread?: boolean;
  /** 0 (lowest) to 9, on queues that have priorities. */
  readonly priority?: number;
  /**
   * Inside a transaction (`app.transaction`), publish after its commit; `false` publishes at once, whatever becomes of it.
   *
   * @default true
   */
  readonly afterCommit?: boolean;
  /**
   * Drops a message that has waited longer before its first run, unless a duplicate that was dropped on it may wait
   * longer. Counted from the enqueue, a delay included; at least 1 ms. A run that began is never dropped.
   *
   * @default never
   */
  readonly expires?: Duration;
  /**
   * For runs that may outlast RabbitMQ's acknowledgement timeout (30 min by default): the message is acknowledged as the
   * body begins, and a copy of it waits with the broker in its place. The copy looks after the run every minute, or as
   * often as is said here (1 s to 1 h), and runs when the run's worker has died. Not with `acksLate: false`.
   *
   * @default false
   */
  readonly long?: boolean | Duration;
  /**
   * What a body does when the link that brought its message is lost, and the broker delivers it again: `'abort'` ends it
   * by its signal, and the task runs again; `'finish'` lets it go on while its lease lives, and the redelivery waits for
   * its end. Not with `acksLate: false`.
   *
   * @default 'abort'
   */
  readonly onConnectionLoss?: 'abort' | 'finish';
}

/** What `@ShouldCompute` takes, written out. */
export interface ShouldComputeOptions<K = string> {
  /**
   * A template such as `'report:<loanId>'`, or a function of the arguments.
   *
   * @default the key of `@Task`
   */
  readonly key?: K;
  /**
   * What the worker does with a duplicate: drops it (`'discard'`), lets it wait for its turn in the delay queues, so that
   * nothing is dropped (`'requeue'`), or sends it to the dead letters with code DUPLICATE (`'reject'`). `'coalesce'` as
   * for `@Task`; without `unique` the order of arguments from several machines is that of their clocks.
   *
   * @default 'discard'; that of `unique` where that is `'coalesce'`
   */
  readonly onDuplicate?: OnDuplicate;
  /**
   * How long a run that gives no sign of life keeps its key. At least 100 ms.
   *
   * @default '15s'
   */
  readonly lease?: Duration;
  /** Drops newcomers for good for this long after a good run; not together with `'coalesce'`. */
  readonly keepFor?: Duration;
}
