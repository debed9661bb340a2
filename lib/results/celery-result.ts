import { parseKombu } from '../celery-protocol.js';
import { PayloadError } from '../errors.js';
import type { StoredError, StoredResult } from '../result-backend.js';

/** A result as Celery's Redis backend keeps it; `fence`, `code`, `dropped` and `after` are ours, and Celery skips them. */
interface Meta {
  readonly status: string;
  readonly result?: unknown;
  readonly traceback?: unknown;
  readonly fence?: unknown;
  readonly code?: unknown;
  readonly dropped?: unknown;
  readonly after?: unknown;
}

/** Module of Celery's error for a task that was withdrawn. */
const REVOKED = 'celery.exceptions';

/** Where a result is kept, and the channel on which it is announced. */
export const resultKey = (id: string): string => `celery-task-meta-${id}`;

/** What a result is about: its task's id and name, and the time, epoch ms. */
export interface ResultHead {
  readonly id: string;
  readonly task: string;
  readonly now: number;
}

/** A result as Celery writes it (its protocol has no name; seen on Celery 5.2). */
export function encodeResult({ id, task, now }: ResultHead, result: StoredResult): string {
  // Python before 3.11 reads an offset, but no `Z`.
  const date_done = new Date(now).toISOString().replace('Z', '+00:00');
  return JSON.stringify({ ...metaOf(result), children: [], date_done, task_id: id, name: task });
}

function metaOf(result: StoredResult): Meta {
  if (result.status === 'dropped') {
    // Celery knows nothing of duplicates: a task that was withdrawn comes nearest, and its clients stop waiting.
    const told = exception('TaskRevokedError', `duplicate of ${result.holder}`, REVOKED);
    return { status: 'REVOKED', result: told, traceback: null, dropped: result.holder, after: result.after };
  }
  const { fence } = result;
  if (result.status === 'succeeded') return { status: 'SUCCESS', result: result.value ?? null, traceback: null, fence };
  const { type, message, code, stack } = result.error;
  // A client of Celery knows an expired task by this, and may expect it.
  if (code === 'EXPIRED') {
    return { status: 'REVOKED', result: exception('TaskRevokedError', message, REVOKED), traceback: null, code };
  }
  return { status: 'FAILURE', result: exception(type, message, null), traceback: stack ?? null, fence, code };
}

/** Without a module Celery makes a class of that name, whatever the name is. */
const exception = (exc_type: string, message: string, exc_module: string | null): object => ({
  exc_type,
  exc_message: [message],
  exc_module,
});

/**
 * Reads what we or a Celery worker wrote. Undefined: the task has not ended (`STARTED`, `RETRY`, a state of its own).
 * @throws PayloadError for what is no JSON: Python writes NaN, for one.
 */
export function decodeResult(id: string, text: string): StoredResult | undefined {
  const meta = parse(id, text);
  const { status, fence, dropped, after } = meta;
  switch (status) {
    case 'SUCCESS':
      return { status: 'succeeded', value: meta.result ?? null, fence: number(fence) };
    case 'REVOKED':
      if (typeof dropped === 'string') return { status: 'dropped', holder: dropped, after: number(after) };
      return { status: 'failed', error: errorOf(meta, 'TaskRevokedError'), fence: undefined };
    case 'FAILURE':
      return { status: 'failed', error: errorOf(meta, 'Error'), fence: number(fence) };
    default:
      return undefined;
  }
}

function parse(id: string, text: string): Meta {
  try {
    const meta = parseKombu(text);
    if (typeof meta === 'object' && meta !== null) return meta as Meta;
  } catch {
    // Told below, without the text: it may be long, and is nobody else's business.
  }
  const violation = { path: 'result', message: 'is not JSON as Celery writes it' };
  throw new PayloadError(`the result of ${id} cannot be read`, [violation], { id });
}

function errorOf({ result, traceback, code }: Meta, fallback: string): StoredError {
  const { exc_type, exc_message } = (typeof result === 'object' && result !== null ? result : {}) as {
    exc_type?: unknown;
    exc_message?: unknown;
  };
  const args = (Array.isArray(exc_message) ? exc_message : [exc_message ?? result ?? '']) as unknown[];
  return {
    type: word(exc_type) ?? fallback,
    message: args.map((arg) => (typeof arg === 'string' ? arg : JSON.stringify(arg))).join(', '),
    code: word(code),
    stack: word(traceback),
  };
}

const word = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);

const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
