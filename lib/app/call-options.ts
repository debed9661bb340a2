import type { EnqueueSettings } from '../client/call.js';
import { checkedHeaders } from '../celery-protocol.js';
import type { KeyValue } from '../declarations/key-value.js';
import { checkQueue } from '../declarations/task-settings.js';
import { duration } from '../duration.js';
import { ConfigError } from '../errors.js';
import type { Headers } from '../message.js';
import { checkFlag, checkInteger, checkName, checkOptions, wrong } from '../options.js';

/** Options of many enqueues together; each holds for every one of them. */
export interface BatchOptions {
  /** Headers of the caller's own: names as Python has them, and strings, numbers, booleans or null; 8 KiB in all. */
  readonly headers?: Readonly<Record<string, string | number | boolean | null>>;
  /** Earliest start, from now: ms or a string such as `'5m'`. @default 0 */
  readonly delay?: number | string;
  /** Earliest start: a date, its ISO 8601 text with an offset, or epoch ms. Not together with `delay`. */
  readonly at?: Date | string | number;
  /** Dropped, and its key freed, when it has not begun by then: ms or a string from now, or a date. @default never */
  readonly expires?: number | string | Date;
  /** Another queue than the task's. One that the app does not know yet is declared, as a quorum queue. */
  readonly queue?: string;
  /** 0 (lowest) to 9, on queues that have priorities. @default the task's */
  readonly priority?: number;
  /** Inside a transaction, publish after its commit; `false` publishes at once. @default the task's */
  readonly afterCommit?: boolean;
}

/** Options of one enqueue. */
export interface CallOptions extends BatchOptions {
  /** The task's id, at most 255 bytes: a second enqueue under the id of a waiting task does not add another. @default a UUID */
  readonly id?: string;
  /** The whole key, for this call, instead of what the template or function of the task gives. */
  readonly key?: KeyValue;
}

const BATCH = ['headers', 'delay', 'at', 'expires', 'queue', 'priority', 'afterCommit'] as const;
const CALL = ['id', 'key', ...BATCH] as const;
const NONE: EnqueueSettings = Object.freeze({});

/** Beside them the lock, the texts for people and a dead letter's stack have room in AMQP's 64 KiB. */
const MOST_HEADER_BYTES = 8 * 1024;
/** The latest moment that a Date can hold. */
const LATEST = 8_640_000_000_000_000;
const DECADE = 10 * 365 * 86_400_000;
const ISO = /^[+-]?\d{4,6}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;

/** Epoch ms of a date or of its text; NaN for a text without an offset, which each machine would read differently. */
function epoch(value: Date | string): number {
  if (typeof value !== 'string') return value.getTime();
  return ISO.test(value) ? Date.parse(value) : Number.NaN;
}

function checkAt(value: unknown, what: string, now: number): number {
  const at = value instanceof Date || typeof value === 'string' ? epoch(value) : value;
  // A number of seconds, or a delay, would be a moment in 1970: run at once, and nobody would know why.
  const likely = typeof value !== 'number' || value > now - DECADE;
  if (typeof at === 'number' && Number.isFinite(at) && Math.abs(at) <= LATEST && likely) return Math.round(at);
  throw wrong(what, value, "a Date, an ISO 8601 text with an offset such as '2030-01-31T08:00:00Z', or epoch ms");
}

function later(now: number, ms: number, what: string, value: unknown): number {
  if (now + ms <= LATEST) return now + ms;
  throw wrong(what, value, 'a moment that a Date can hold');
}

function dueOf({ delay, at }: { delay?: unknown; at?: unknown }, what: string, now: number): number | undefined {
  if (delay !== undefined && at !== undefined) {
    throw new ConfigError(`${what} has both delay and at: give one of them`, { option: 'at' });
  }
  if (at !== undefined) return checkAt(at, `at of ${what}`, now);
  if (delay === undefined) return undefined;
  const ms = duration(delay, `delay of ${what}`);
  return ms === 0 ? undefined : later(now, ms, `delay of ${what}`, delay);
}

function expiryOf(value: unknown, what: string, now: number): number | undefined {
  if (value === undefined) return undefined;
  const option = `expires of ${what}`;
  const isDate = value instanceof Date || (typeof value === 'string' && ISO.test(value));
  if (isDate) return checkAt(value, option, now);
  return later(now, duration(value, option, 1), option, value);
}

/** What all kinds of enqueue take, checked; moments as epoch ms. `what` names the call in errors. */
export function commonSettings(
  given: Partial<Record<(typeof BATCH)[number] | 'id', unknown>>,
  what: string,
  now: number,
): Omit<EnqueueSettings, 'key'> {
  const { id, headers, queue, priority, afterCommit } = given;
  const due = dueOf(given, what, now);
  const expires = expiryOf(given.expires, what, now);
  if (due !== undefined && expires !== undefined && expires <= due) {
    throw new ConfigError(`${what} expires before it may run`, { option: 'expires', due, expires });
  }
  return {
    id: id === undefined ? undefined : checkName(id, `id of ${what}`, 255),
    headers: headersOf(headers, `headers of ${what}`),
    due,
    expires,
    queue: queue === undefined ? undefined : checkQueue(queue, `queue of ${what}`),
    priority: priority === undefined ? undefined : checkInteger(priority, `priority of ${what}`, 0, 9),
    afterCommit: afterCommit === undefined ? undefined : checkFlag(afterCommit, `afterCommit of ${what}`, true),
  };
}

function headersOf(value: unknown, what: string): Headers | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(what, value, 'an object of strings, numbers, booleans and null');
  }
  const headers = checkedHeaders({ ...value });
  const bytes = Buffer.byteLength(JSON.stringify(headers));
  if (bytes <= MOST_HEADER_BYTES) return headers;
  const text = `${what} have ${bytes} bytes as JSON, at most ${MOST_HEADER_BYTES} are taken`;
  throw new ConfigError(`${text}; what is larger belongs into the arguments`, { option: 'headers', bytes });
}

/**
 * Checks the options of one call.
 * @throws ConfigError for an unknown or wrong one, PayloadError for a header's value.
 */
export function callSettings(options: CallOptions | undefined, now: number): EnqueueSettings {
  if (options === undefined) return NONE;
  const what = 'an enqueue';
  const { key, ...given } = checkOptions(options, CALL, what);
  return { ...commonSettings(given, what, now), key: key as KeyValue | undefined };
}

/** Checks the options of `enqueueMany`, and that it was given a list. @throws as `callSettings` */
export function batchSettings(options: BatchOptions | undefined, argsList: unknown, now: number): EnqueueSettings {
  const what = 'enqueueMany';
  if (!Array.isArray(argsList)) throw wrong(`the list of ${what}`, argsList, 'an array of arguments, [[1], [2]]');
  if (options === undefined) return NONE;
  for (const option of ['id', 'key'] as const) {
    if (!(option in options)) continue;
    throw new ConfigError(`${what} takes no ${option}: one for all would make all but the first duplicates`, {
      option,
    });
  }
  return commonSettings(checkOptions(options, BATCH, what), what, now);
}
