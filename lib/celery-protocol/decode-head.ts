import { UnreadableMessageError } from '../errors.js';
import type { Frame, Headers, MessageHead, MessageLock } from '../message.js';

/** ISO 8601 as Python's `isoformat()` writes it; without an offset it is UTC. */
const ISO_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d(:\d\d(\.\d+)?)?)?$/;

/**
 * Everything that the headers say, whoever sent them and whatever their types are: what cannot be used counts as not
 * there. `UnreadableMessageError` when there is no id or no task; `data` then has the `id`, `task` and `lock` that are
 * known, so that the lock can be freed.
 */
export function decodeHead(frame: Frame): MessageHead {
  const { headers } = frame;
  const id = text(headers['id']);
  const task = text(headers['task']);
  const lock = readLock(headers);
  if (id === undefined || task === undefined) {
    const missing = id === undefined ? 'id' : 'task';
    const text = `no task message: the header '${missing}' is missing (of Celery's message protocols only 2 is read)`;
    throw new UnreadableMessageError(text, { id, task, lock });
  }
  return {
    id,
    task,
    attempt: whole(headers['attempt'], 1) ?? (whole(headers['retries'], 0) ?? 0) + 1,
    lock,
    copy: text(headers['copy']) ?? '',
    enqueuedAt: whole(headers['enqueued_at'], 0),
    due: whole(headers['due'], 0) ?? time(headers['eta']),
    expires: time(headers['expires']),
    standIn: text(headers['stand_in']),
    suspect: headers['suspect'] === true,
    rootId: text(headers['root_id']),
    parentId: text(headers['parent_id']),
    timeLimit: headers['lang'] === 'js' ? undefined : readLimit(headers['timelimit']),
    ignoreResult: headers['ignore_result'] === true,
  };
}

/** A lock needs a key and a mode; otherwise the message counts as one without, and its key is computed anew. */
function readLock(headers: Headers): MessageLock | undefined {
  const key = text(headers['lock_key']);
  const mode = headers['lock_mode'];
  if (key === undefined || (mode !== 'enqueue' && mode !== 'worker')) return undefined;
  return { key, mode, fence: whole(digits(headers['lock_fence']), 1) };
}

/** Of Celery's `[hard, soft]`, seconds, the one that comes first, ms. */
function readLimit(value: unknown): number | undefined {
  const seconds = (Array.isArray(value) ? (value as unknown[]) : []).filter(
    (one): one is number => typeof one === 'number' && one > 0 && one < Number.MAX_SAFE_INTEGER / 1000,
  );
  return seconds.length === 0 ? undefined : Math.ceil(Math.min(...seconds) * 1000);
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

const whole = (value: unknown, least: number): number | undefined =>
  Number.isSafeInteger(value) && (value as number) >= least ? (value as number) : undefined;

const digits = (value: unknown): unknown =>
  typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value;

function time(value: unknown): number | undefined {
  const match = typeof value === 'string' ? ISO_TIME.exec(value) : null;
  if (match === null) return undefined;
  const offset = match[3] ?? 'Z';
  const epoch = Date.parse(
    match[0].slice(0, match[0].length - (match[3]?.length ?? 0)).replace(' ', 'T') + minutes(offset),
  );
  return Number.isNaN(epoch) ? undefined : epoch;
}

/** An offset in whole minutes: JavaScript reads no seconds there, and no zone has had any since 1972. */
const minutes = (offset: string): string =>
  offset === 'Z' ? offset : `${offset.slice(0, 3)}:${offset.replaceAll(':', '').slice(3, 5)}`;
