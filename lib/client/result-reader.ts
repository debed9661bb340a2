import { onAbort, type Clock } from '../clock.js';
import { duration } from '../duration.js';
import { ClosedError, ResultTimeoutError, TaskFailedError } from '../errors.js';
import type { ResultBackend, ResultWish, StoredError } from '../result-backend.js';
import type { ResultReader } from './receipt.js';

/** What a reader of results works with. */
export interface ResultReaderParts {
  readonly results: ResultBackend;
  readonly clock: Clock;
  /** Aborts when the app is closed. */
  readonly closed: AbortSignal;
}

/** Pointers from a dropped message to its holder that are followed; each is a hop to an older enqueue of one key. */
const MOST_HOPS = 100;

/** Reads results, and follows messages that a worker dropped to those that ran for them. */
export function resultReader(parts: ResultReaderParts): ResultReader {
  return async (wish, { timeout = '1m' }) => {
    const limit = duration(timeout, 'timeout of result()');
    const patience = new AbortController();
    const end = (): void => patience.abort();
    const forget = onAbort(parts.closed, end);
    const timer = parts.clock.after(limit, end);
    try {
      return await read(parts, wish, patience.signal, limit);
    } finally {
      timer.cancel();
      forget();
    }
  };
}

async function read(
  parts: ResultReaderParts,
  wish: ResultWish,
  patience: AbortSignal,
  limit: number,
): Promise<unknown> {
  const path: string[] = [];
  for (let { id, after } = wish; ;) {
    const result = await once(parts, { id, after }, patience);
    if (result === undefined) {
      const text = `no result of ${id} within ${limit} ms; the task may still run`;
      throw new ResultTimeoutError(text, { id: wish.id, timeout: limit, dropped: path });
    }
    if (result.status === 'succeeded') return result.value;
    if (result.status === 'failed') throw failure(id, result.error);
    path.push(id);
    if (path.includes(result.holder) || path.length > MOST_HOPS) {
      const text = `${wish.id} was dropped for ${result.holder}, which leads back to it: there is no result to come`;
      throw new ResultTimeoutError(text, { id: wish.id, timeout: limit, dropped: path });
    }
    ({ holder: id, after = after } = result);
  }
}

/** Whatever a wait came to: when the app was closed meanwhile, that is what its caller is told. */
async function once({ results, closed }: ResultReaderParts, wish: ResultWish, patience: AbortSignal) {
  const shut = (): ClosedError => new ClosedError('the app is closed: no result is waited for', { id: wish.id });
  if (closed.aborted) throw shut();
  const result = await results.wait(wish, patience).catch((error: unknown) => {
    throw closed.aborted ? shut() : error;
  });
  if (result === undefined && closed.aborted) throw shut();
  return result;
}

const failure = (id: string, { message, stack, type, code }: StoredError): TaskFailedError =>
  new TaskFailedError(message, stack, { id, type, code });
