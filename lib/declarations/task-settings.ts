import { duration } from '../duration.js';
import { ConfigError } from '../errors.js';
import type { KeySource } from './key-value.js';
import { checkFlag, checkInteger, checkName, checkOptions, checkWord, wrong } from '../options.js';
import { retryPolicy } from './retry-policy.js';
import type { OnDuplicate, RetryPolicy, UniquePolicy } from '../task-definition.js';

/** `@Task`'s options, checked; what is undefined takes its default when the app resolves the task. */
export interface TaskSettings {
  readonly name: string | undefined;
  readonly queue: string;
  readonly acksLate: boolean;
  readonly retry: RetryPolicy;
  readonly priority: number | undefined;
  /** ms */
  readonly expires: number | undefined;
  /** ms */
  readonly timeLimit: number | undefined;
  readonly thread: boolean;
  readonly afterCommit: boolean;
  /** ms between two looks of a stand-in; undefined: it is no long task. */
  readonly long: number | undefined;
  readonly onConnectionLoss: 'abort' | 'finish';
  readonly unique: { readonly key: KeySource; readonly policy: UniquePolicy } | undefined;
}

/** `@ShouldCompute`'s options, checked. */
export interface ShouldComputeSettings {
  readonly key: KeySource | undefined;
  readonly onDuplicate: OnDuplicate | undefined;
  /** ms */
  readonly lease: number | undefined;
  /** ms */
  readonly keepFor: number | undefined;
}

/** ms */
export const DEFAULT_TTL = 600_000;
/** ms */
export const DEFAULT_LEASE = 15_000;
/** ms between two looks of a stand-in. */
export const DEFAULT_REST = 60_000;
/** What takes longer is handed over, ms: RabbitMQ waits for 30 minutes by default, those for a seat included. */
export const LONG = 600_000;
/** Shorter leases and ttls would end within an ordinary pause of a process, ms. */
const LEAST_LEASE = 100;
/** Leaves room for what is put behind a queue's name, within AMQP's 255 bytes. */
const MAX_QUEUE_BYTES = 240;
const MAX_NAME_BYTES = 255;

const TASK = [
  ...(['name', 'queue', 'unique', 'acksLate', 'retry', 'timeLimit', 'thread'] as const),
  ...(['priority', 'afterCommit', 'expires', 'long', 'onConnectionLoss'] as const),
];
const UNIQUE = ['key', 'onDuplicate', 'ttl', 'lease', 'keepFor', 'onLockError'] as const;
const SHOULD_COMPUTE = ['key', 'onDuplicate', 'lease', 'keepFor'] as const;
const ENQUEUE_STRATEGIES = ['discard', 'coalesce', 'reject'] as const;
const STRATEGIES = ['discard', 'coalesce', 'reject', 'requeue'] as const;

/** Why one method cannot have both. */
export const KEEP_OR_COALESCE =
  "keepFor and onDuplicate 'coalesce' do not go together: one drops what comes after a run, the other runs it; leave one out";

/** An enqueue has nothing to put back: to wait for its turn is a message's part. */
function refuseRequeue(value: unknown, what: string): void {
  if (value !== 'requeue') return;
  const instead = "write @ShouldCompute({ key, onDuplicate: 'requeue' }) in place of unique";
  throw new ConfigError(`${what} is 'requeue', which a worker does and an enqueue cannot: ${instead}`, {
    option: what,
  });
}

function checkKeepFor(value: unknown, what: string, onDuplicate?: OnDuplicate): number | undefined {
  if (value === undefined) return undefined;
  if (onDuplicate !== 'coalesce') return duration(value, what, 1);
  throw new ConfigError(`${what}: ${KEEP_OR_COALESCE}`, { option: 'keepFor' });
}

/** A bound that may be left out, ms. */
const atMost = (value: unknown, what: string): number | undefined =>
  value === undefined ? undefined : duration(value, what, 1);

const isKeySource = (value: unknown): value is KeySource => typeof value === 'string' || typeof value === 'function';

function checkKeySource(value: unknown, what: string): KeySource {
  if (isKeySource(value)) return value;
  throw wrong(what, value, `a template such as 'loan:<loanId>', or a function of the arguments`);
}

/** The longest rest of a stand-in, ms: so late at most a task runs again whose worker has died. */
const LONGEST_REST = 3_600_000;
/** The shortest delay of a broker, ms. */
const SHORTEST_REST = 1_000;

/** What has a time limit beyond ten minutes may need them, and is long unless somebody says that it is not. */
function checkLong({ long, acksLate, timeLimit }: Record<string, unknown>, what: string): number | undefined {
  const value = long ?? (acksLate !== false && timeLimit !== undefined && duration(timeLimit, what, 1) > LONG);
  if (value === false) return undefined;
  const rest = value === true ? DEFAULT_REST : duration(value, what, SHORTEST_REST);
  if (rest <= LONGEST_REST) return rest;
  throw wrong(what, value, "true, false, or at most '1h': how late it runs again when its worker has died");
}

const checkLoss = (value: unknown, what: string): 'abort' | 'finish' =>
  checkWord(value ?? 'abort', what, ['abort', 'finish'] as const);

/** What is acknowledged as its body begins has no message any more that could be lost, or last too long. */
function checkLateOnly({ acksLate, long, onConnectionLoss }: Record<string, unknown>, what: string): void {
  if (acksLate !== false) return;
  const option = long !== undefined && long !== false ? 'long' : onConnectionLoss === 'finish' && 'onConnectionLoss';
  if (option === false) return;
  const text = `${what} option '${option}' does not go with acksLate: false, which acknowledges as the body begins`;
  throw new ConfigError(`${text}; leave ${option} out`, { option });
}

const checkLease = (value: unknown, what: string): number => duration(value, what, LEAST_LEASE);

function checkUnique(value: unknown, what: string): TaskSettings['unique'] {
  if (value === undefined) return undefined;
  const given = isKeySource(value) ? { key: value } : checkOptions(value, UNIQUE, what);
  refuseRequeue(given.onDuplicate, `${what}.onDuplicate`);
  const onDuplicate = checkWord(given.onDuplicate ?? 'discard', `${what}.onDuplicate`, ENQUEUE_STRATEGIES);
  const policy: UniquePolicy = {
    onDuplicate,
    onLockError: checkWord(given.onLockError ?? 'refuse', `${what}.onLockError`, ['refuse', 'publish']),
    ttl: checkLease(given.ttl ?? DEFAULT_TTL, `${what}.ttl`),
    lease: checkLease(given.lease ?? DEFAULT_LEASE, `${what}.lease`),
    keepFor: checkKeepFor(given.keepFor, `${what}.keepFor`, onDuplicate),
  };
  return { key: checkKeySource(given.key, `${what}.key`), policy: Object.freeze(policy) };
}

/** The name of a work queue. @throws ConfigError */
export function checkQueue(value: unknown, what: string): string {
  const queue = checkName(value, what, MAX_QUEUE_BYTES);
  if (queue.startsWith('amq.'))
    throw wrong(what, value, `a name that does not begin with 'amq.', which is the broker's`);
  return queue;
}

/**
 * Checks what was given to `@Task`. `where` is `Class.method`.
 *
 * @throws ConfigError for an unknown option or a wrong value, NotYetError for what is not built.
 */
export function taskSettings(value: unknown, where: string): TaskSettings {
  const what = `${where}: @Task`;
  const given = checkOptions(value ?? {}, TASK, what);
  checkLateOnly(given, what);
  return Object.freeze({
    name: given.name === undefined ? undefined : checkName(given.name, `${what} option 'name'`, MAX_NAME_BYTES),
    queue: checkQueue(given.queue ?? 'tasks', `${what} option 'queue'`),
    acksLate: checkFlag(given.acksLate, `${what} option 'acksLate'`, true),
    retry: retryPolicy(given.retry, `${what} option 'retry'`),
    priority:
      given.priority === undefined ? undefined : checkInteger(given.priority, `${what} option 'priority'`, 0, 9),
    expires: atMost(given.expires, `${what} option 'expires'`),
    timeLimit: atMost(given.timeLimit, `${what} option 'timeLimit'`),
    thread: checkFlag(given.thread, `${what} option 'thread'`, false),
    long: checkLong(given, `${what} option 'long'`),
    onConnectionLoss: checkLoss(given.onConnectionLoss, `${what} option 'onConnectionLoss'`),
    afterCommit: checkFlag(given.afterCommit, `${what} option 'afterCommit'`, true),
    unique: checkUnique(given.unique, `${what} option 'unique'`),
  });
}

/**
 * Checks what was given to `@ShouldCompute`. `where` is `Class.method`.
 *
 * @throws ConfigError for an unknown option or a wrong value, NotYetError for what is not built.
 */
export function shouldComputeSettings(value: unknown, where: string): ShouldComputeSettings {
  const what = `${where}: @ShouldCompute`;
  const given = isKeySource(value) ? { key: value } : checkOptions(value ?? {}, SHOULD_COMPUTE, what);
  const onDuplicate =
    given.onDuplicate === undefined
      ? undefined
      : checkWord(given.onDuplicate, `${what} option 'onDuplicate'`, STRATEGIES);
  return Object.freeze({
    key: given.key === undefined ? undefined : checkKeySource(given.key, `${what} option 'key'`),
    onDuplicate,
    keepFor: checkKeepFor(given.keepFor, `${what} option 'keepFor'`, onDuplicate),
    lease: given.lease === undefined ? undefined : checkLease(given.lease, `${what} option 'lease'`),
  });
}
