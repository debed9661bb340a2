import {
  BrokerUnavailableError,
  ClosedError,
  DuplicateUndecidedError,
  LockUnavailableError,
  PublishOutcomeUnknownError,
  TaskError,
  toError,
} from '../errors.js';
import type { Call } from './call.js';
import type { Receipt } from './receipt.js';

/** Keys that are claimed and published at a time. Far more would wait longer for Redis than one command may take. */
const IN_FLIGHT = 500;

/** When no call gets through, these would only be waited for again by the next. */
export const OUTAGES = [
  BrokerUnavailableError,
  ClosedError,
  DuplicateUndecidedError,
  LockUnavailableError,
  PublishOutcomeUnknownError,
];

/** Some calls of a batch failed, the others went their way. Both lists have one place for each call. */
export class BatchError extends TaskError {
  /** Undefined where a call failed. */
  readonly receipts: readonly (Receipt | undefined)[];
  /** Undefined where there is a receipt. */
  readonly errors: readonly (Error | undefined)[];

  constructor(receipts: readonly (Receipt | undefined)[], errors: readonly (Error | undefined)[]) {
    const failed = errors.filter((error) => error !== undefined);
    const first = errors.findIndex((error) => error !== undefined);
    const text = `${failed.length} of ${errors.length} enqueues failed; the first, [${first}]: ${failed[0]?.message}`;
    super('BATCH', text, { failed: failed.length, of: errors.length, first }, failed[0]);
    this.receipts = receipts;
    this.errors = errors;
  }
}

/** Places of calls that share a key, in order; a call without an enqueue-side key stands alone. */
function groups(calls: readonly (Call | Error)[]): number[][] {
  const byKey = new Map<string, number[]>();
  const found: number[][] = [];
  for (const [place, call] of calls.entries()) {
    if (call instanceof Error) continue;
    const known = call.unique === undefined ? undefined : byKey.get(call.key ?? '');
    if (known !== undefined) {
      known.push(place);
      continue;
    }
    const group = [place];
    found.push(group);
    if (call.unique !== undefined) byKey.set(call.key ?? '', group);
  }
  return found;
}

/**
 * Submits calls of one task, some at a time, those of one key together. Settles all of them, then gives their receipts
 * in order. Once nobody can be reached, what was not submitted yet fails with the same error, untried.
 * @throws BatchError
 */
export async function submitAll(
  calls: readonly (Call | Error)[],
  submit: (call: Call) => Promise<Receipt>,
): Promise<Receipt[]> {
  const receipts: (Receipt | undefined)[] = calls.map(() => undefined);
  const errors = calls.map((call) => (call instanceof Error ? call : undefined));
  let outage: Error | undefined;
  let settled = 0;
  const one = async (place: number): Promise<void> => {
    const before = settled;
    try {
      if (outage !== undefined) throw outage;
      receipts[place] = await submit(calls[place] as Call);
      settled += 1;
    } catch (thrown) {
      const error = toError(thrown);
      errors[place] = error;
      // While others get through, it was about this call after all.
      if (settled === before && OUTAGES.some((kind) => error instanceof kind)) outage = error;
    }
  };
  const waiting = groups(calls).values();
  const lane = async (): Promise<void> => {
    // One iterator serves all lanes: each takes the next group that nobody has.
    for (const group of waiting) await Promise.all(group.map(one));
  };
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, calls.length) }, lane));
  if (errors.some((error) => error !== undefined)) throw new BatchError(receipts, errors);
  return receipts as Receipt[];
}
