import { ConfigError, PayloadError } from '../errors.js';
import type { Frame, FrameProperties, Headers, TaskMessage } from '../message.js';
import { RESERVED_HEADERS } from './names.js';

/** An AMQP short string, as `correlation_id` is one, holds no more bytes. */
const SHORT_STRING = 255;
/** Characters of `argsrepr` and `kwargsrepr`: for people only, and a header table must stay far below 64 KiB. */
const REPR_LENGTH = 200;
const NO_LIMIT = Object.freeze([null, null]);
const EMBED = '{"callbacks":null,"errbacks":null,"chain":null,"chord":null}';
/** Python reads headers as attributes, and keeps to itself those that begin with an underscore. */
const HEADER_NAME = /^[A-Za-z][A-Za-z0-9_]{0,127}$/;

/**
 * A task message as a frame. `origin`: who sends it, as `pid@host`, for people.
 *
 * Refused is what would stop a Celery worker or make a message unreadable: `ConfigError` for the id, the task name, the
 * priority or the name of a header; `PayloadError` for what JSON cannot carry.
 */
export function encode(message: TaskMessage, origin: string): Frame {
  checkName('id', message.id);
  checkName('task', message.task);
  const args = json(checkedArgs(message.args), 'args');
  const kwargs = json(checkedKwargs(message.kwargs), 'kwargs');
  return {
    properties: properties(message),
    headers: headers(message, args, kwargs, origin),
    body: bodyOf(args, kwargs),
  };
}

/** A body from the JSON texts of its arguments. */
export const bodyOf = (args: string, kwargs: string): Buffer => Buffer.from(`[${args},${kwargs},${EMBED}]`);

/** The arguments as headers for people, from their JSON texts. */
export const reprHeaders = (args: string, kwargs: string): { argsrepr: string; kwargsrepr: string } => ({
  argsrepr: args.slice(0, REPR_LENGTH),
  kwargsrepr: kwargs.slice(0, REPR_LENGTH),
});

function properties({ id, enqueuedAt, priority }: TaskMessage): FrameProperties {
  return {
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    correlationId: id,
    messageId: id,
    timestamp: Math.floor(enqueuedAt / 1000),
    ...(priority === undefined ? undefined : { priority: checkedPriority(priority) }),
  };
}

function headers(message: TaskMessage, args: string, kwargs: string, origin: string): Headers {
  const { lock } = message;
  const all: Record<string, unknown> = {
    lang: 'js',
    task: message.task,
    id: message.id,
    root_id: message.rootId ?? message.id,
    parent_id: message.parentId ?? null,
    group: null,
    shadow: null,
    eta: null,
    expires: message.expires === undefined ? null : new Date(message.expires).toISOString(),
    retries: message.attempt - 1,
    timelimit: message.timeLimit === undefined ? NO_LIMIT : limits(message.timeLimit),
    argsrepr: args.slice(0, REPR_LENGTH),
    kwargsrepr: kwargs.slice(0, REPR_LENGTH),
    origin,
    ignore_result: false,
    attempt: message.attempt,
    enqueued_at: message.enqueuedAt,
  };
  // Not spread into the literal: that takes several times as long.
  if (lock !== undefined) Object.assign(all, lockHeaders(lock));
  Object.assign(all, checkedHeaders(message.headers));
  return all;
}

/** `[hard, soft]`, in seconds. */
const limits = ({ soft, hard }: NonNullable<TaskMessage['timeLimit']>): readonly (number | null)[] => [
  seconds(hard),
  seconds(soft),
];

/** A limit that ends as its body does hits the process around it, which may never take a task again: rarely by a second. */
const seconds = (ms: number | undefined): number | null => (ms === undefined ? null : Math.max(1, ms / 1000));

/** The lock as headers. The fence is a string: a Celery client or a header table may not hold 53 bits. */
export function lockHeaders({ key, mode, fence }: NonNullable<TaskMessage['lock']>): Headers {
  return { lock_key: key, lock_mode: mode, ...(fence === undefined ? undefined : { lock_fence: String(fence) }) };
}

function checkName(what: 'id' | 'task', value: string): void {
  if (typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= SHORT_STRING) return;
  throw new ConfigError(`the ${what} of a task message must be a string of 1 to ${SHORT_STRING} bytes`, {
    [what]: value,
  });
}

function checkedPriority(priority: number): number {
  if (Number.isInteger(priority) && priority >= 0 && priority <= 255) return priority;
  throw new ConfigError(`priority must be an integer from 0 to 255, not ${priority}`, { priority });
}

function checkedArgs(args: readonly unknown[]): readonly unknown[] {
  if (Array.isArray(args)) return args;
  throw new PayloadError('the arguments must be an array', [{ path: 'args', message: 'is no array' }]);
}

function checkedKwargs(kwargs: TaskMessage['kwargs']): TaskMessage['kwargs'] {
  if (typeof kwargs === 'object' && kwargs !== null && !Array.isArray(kwargs)) return kwargs;
  throw new PayloadError('the named arguments must be an object', [{ path: 'kwargs', message: 'is no object' }]);
}

function json(value: unknown, path: string): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw new PayloadError(`${path} cannot be carried as JSON`, [{ path, message: String(error) }]);
  }
}

/**
 * A caller's own headers, as they are.
 * @throws ConfigError for a name that Python cannot read or the wire format uses, PayloadError for a value that is no
 * string, finite number, boolean or null.
 */
export function checkedHeaders(own: Headers): Headers {
  for (const name of Object.keys(own)) checkHeader(name, own[name]);
  return own;
}

function checkHeader(name: string, value: unknown): void {
  if (RESERVED_HEADERS.has(name)) throw new ConfigError(`the header '${name}' is part of the wire format`, { name });
  if (!HEADER_NAME.test(name)) {
    throw new ConfigError(`the header '${name}' must be a name of letters, digits and _ that begins with a letter`, {
      name,
    });
  }
  const plain = value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value);
  if (plain) return;
  const path = `headers.${name}`;
  throw new PayloadError(`${path} cannot travel`, [
    { path, message: 'must be a string, a finite number, a boolean or null' },
  ]);
}
