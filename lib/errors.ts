/** What an error carries besides its text: plain values, safe to log. */
export type ErrorData = Readonly<Record<string, unknown>>;

/**
 * The root of every error that solotask throws on purpose. `code` is stable across versions, `data` says what it is
 * about, `cause` is what the driver said.
 */
export class TaskError extends Error {
  readonly code: string;
  readonly data: ErrorData;

  constructor(code: string, message: string, data: ErrorData = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.data = data;
  }
}

/** The leaf classes differ by name and code alone, so that `instanceof` and `code` tell the same story. */
const kind = (code: string) =>
  class extends TaskError {
    constructor(message: string, data: ErrorData = {}, cause?: unknown) {
      super(code, message, data, cause);
    }
  };

/** An option, a setting or a declaration is wrong; the text says what to write instead. */
export class ConfigError extends kind('CONFIG') {}
/** A decorator was called as a standard (stage 3) decorator; solotask needs `experimentalDecorators`. */
export class DecoratorModeError extends kind('DECORATOR_MODE') {}
/** Something of the documented face that this version does not build yet; `data.option` names it. */
export class NotYetError extends kind('NOT_YET') {}
/** A unique key cannot be computed from these arguments. Nothing was published. */
export class KeyError extends kind('KEY') {}
/** A method is not a task, or the class is not listed in the app. */
export class NotATaskError extends kind('NOT_A_TASK') {}
/** `tasks(Class)` was called, and no app lists the class. */
export class NotBoundError extends kind('NOT_BOUND') {}
/** `tasks(Class)` was called outside a run, and more than one app lists the class. */
export class AmbiguousAppError extends kind('AMBIGUOUS_APP') {}
/** The app, the transport or the guard was closed. */
export class ClosedError extends kind('CLOSED') {}

/** Redis cannot be reached, so nobody can say whether the task is a duplicate. Nothing was published. */
export class LockUnavailableError extends kind('LOCK_UNAVAILABLE') {}
/** No quorum gave the same answer within `publishTimeout`. Nothing was published. */
export class DuplicateUndecidedError extends kind('DUPLICATE_UNDECIDED') {}

/** RabbitMQ cannot be reached. Nothing was published. */
export class BrokerUnavailableError extends kind('BROKER_UNAVAILABLE') {}
/** RabbitMQ refuses the login, the virtual host or a permission: trying again does not help. */
export class AccessRefusedError extends kind('ACCESS_REFUSED') {}
/** No queue takes the message (it was returned). Nothing was published. */
export class UnroutableError extends kind('UNROUTABLE') {}
/** The broker refused the message (a negative confirm, or it is too large for a header table). */
export class PublishRefusedError extends kind('PUBLISH_REFUSED') {}
/** The link was lost before the confirm, until `publishTimeout`: the message may or may not be in the queue. */
export class PublishOutcomeUnknownError extends kind('PUBLISH_UNKNOWN') {}
/** A queue exists with other arguments than those it would be declared with. */
export class QueueMismatchError extends kind('QUEUE_MISMATCH') {}

/** A duplicate of a task with `onDuplicate: 'reject'`; `data.holder` is the id of the task that has the key. */
export class DuplicateTaskError extends kind('DUPLICATE') {}

/** `result()` of a task that was never published: its transaction was rolled back. */
export class RolledBackError extends kind('ROLLED_BACK') {}
/** `result()` was called, and the app keeps no results. */
export class ResultsDisabledError extends kind('RESULTS_DISABLED') {}
/** Where results are kept cannot be reached. */
export class ResultsUnavailableError extends kind('RESULTS_UNAVAILABLE') {}
/** There was no result within the timeout of `result()`, or none is to come; in the first case the task may still run. */
export class ResultTimeoutError extends kind('RESULT_TIMEOUT') {}
/**
 * The task failed: `message`, `data.type` and `data.code` are those of the error on the worker. `cause` looks like that
 * error and has its stack, so that whatever prints this one shows where the task failed.
 */
export class TaskFailedError extends TaskError {
  constructor(message: string, remoteStack: string | undefined, data: ErrorData = {}) {
    super('TASK_FAILED', message, data, remoteStack === undefined ? undefined : remoteError(message, remoteStack));
  }

  /** Where the task failed, on the worker; undefined when a foreign worker sent no stack. */
  get remoteStack(): string | undefined {
    return this.cause instanceof Error ? this.cause.stack : undefined;
  }
}

function remoteError(message: string, stack: string): Error {
  const error = new Error(message);
  error.stack = stack;
  return error;
}

/** A message that is no task message: wrong content type, not JSON, not three elements. */
export class UnreadableMessageError extends kind('UNREADABLE') {}
/** A message names a task that no service of this app declares. */
export class UnknownTaskError extends kind('UNKNOWN_TASK') {}

/** The bodies of a message ended with their processes, again and again: it went to the dead letters, code POISON. */
export class PoisonError extends kind('POISON') {}

/** Why a run's `AbortSignal` fired: another worker may run the key now. */
export class LeaseLostError extends kind('LEASE_LOST') {}
/** Why a run's `AbortSignal` fired: the channel that delivered the message closed, and the broker gives it to another. */
export class DeliveryLostError extends kind('DELIVERY_LOST') {}
/** Why a run's `AbortSignal` fired: the worker stops and its timeout has passed. */
export class WorkerStoppedError extends kind('WORKER_STOPPED') {}

/** A body ran longer than its `timeLimit`. Its signal fires with it, and the run has failed with it. */
export class TimeLimitError extends kind('TIME_LIMIT') {}
/** The worker thread of a task died under it: out of memory, `process.exit`, or an exception that nobody caught. */
export class ThreadCrashedError extends kind('THREAD_CRASHED') {}

/** One reason why arguments or a result cannot travel: where, and what is wrong with it. */
export interface Violation {
  /** Path inside the arguments, such as `payment.amount` or `args[0][2]`. */
  readonly path: string;
  readonly message: string;
}

/** Arguments or a result cannot be carried as JSON, or a payload class finds them invalid. */
export class PayloadError extends TaskError {
  readonly violations: readonly Violation[];

  constructor(message: string, violations: readonly Violation[], data: ErrorData = {}) {
    super('PAYLOAD', message, { ...data, violations });
    this.violations = violations;
  }
}

/** Tasks died while a test drained its app; `cause` is what the first of them threw. */
export class DeadTasksError extends kind('DEAD_TASKS') {}

/** Thrown by a task: run me again. `delay` (ms or `'10s'`) replaces the back-off of the retry policy. */
export class RetryTask extends TaskError {
  readonly delay: number | string | undefined;

  constructor(options: { delay?: number | string; cause?: unknown } = {}) {
    super('RETRY', 'the task asked for a retry', {}, options.cause);
    this.delay = options.delay;
  }
}

/** Thrown by a task: to the dead letters now, without further attempts. */
export class RejectTask extends TaskError {
  constructor(reason: string, cause?: unknown) {
    super('REJECTED', reason, {}, cause);
  }
}

/** Anything that was thrown, as an Error whose message and stack are texts: `throw 'text'` happens, and worse. */
export function toError(thrown: unknown): Error {
  if (thrown instanceof Error && isText(thrown.message) && isText(thrown.stack ?? '')) return thrown;
  return new Error(isText(thrown) ? thrown : `thrown: ${describe(thrown)}`, { cause: thrown });
}

const isText = (value: unknown): value is string => typeof value === 'string';

function describe(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ${String(thrown.message)}` : String(thrown);
  } catch {
    return `something that has no text (${typeof thrown})`;
  }
}
