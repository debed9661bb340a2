import type { Body, Enqueued, Ledger } from './ledger.js';

/** What may be held against a history. */
export interface Terms {
  readonly onDuplicate: 'discard' | 'coalesce';
  /** The lease's own assumption about time was broken, or all of Redis forgot: bodies (these two) may meet. */
  readonly mayMeet: boolean | ((one: Body, other: Body) => boolean);
  /** A node of Redis forgot: fences begin anew. */
  readonly forgot: boolean;
  /** The newest arguments win (for the run that follows this call). */
  readonly ordered: boolean | ((call: Enqueued) => boolean);
}

const holds = <A extends unknown[]>(term: boolean | ((...about: A) => boolean), ...about: A): boolean =>
  typeof term === 'boolean' ? term : term(...about);

const overlaps = (one: Body, other: Body): boolean => one.started < other.ended && other.started < one.ended;

/** (a) No two bodies of one key at once; where they may meet, their fences tell which is the newer. */
export function meetings({ bodies }: Ledger, { mayMeet, forgot }: Terms): string[] {
  const found: string[] = [];
  const sorted = [...bodies].sort((one, other) => one.started - other.started);
  sorted.forEach((one, i) => {
    for (let j = i + 1; j < sorted.length && sorted[j]!.started < one.ended; j++) {
      const other = sorted[j]!;
      if (one.key !== other.key || !overlaps(one, other)) continue;
      const what = `k${one.key}: v${one.version} on ${one.process} and v${other.version} on ${other.process} at once`;
      if (!holds(mayMeet, one, other)) found.push(what);
      else if (one.fence >= other.fence && !forgot) found.push(`${what}, and the later one's fence is not larger`);
    }
  });
  return found;
}

/** A run that began after the call, and that ended well or in the dead letters. */
export const finishedAfter = (call: Enqueued, { bodies, dead }: Ledger): Body[] =>
  bodies.filter(
    ({ key, started, end, id }) =>
      key === call.key && started >= call.called && (end === 'good' || (end === 'threw' && dead.has(id))),
  );

/** Arguments of a call that had not returned before this one began are as new as this one's. */
export function newEnough({ version }: Body, call: Enqueued, { calls }: Ledger): boolean {
  const carried = calls.find((other) => other.version === version);
  return version >= call.version || (carried?.returned ?? Infinity) >= call.called;
}

/** What `discard` is known to lose: the worker dropped it because another one ran. */
const missed = ({ onDuplicate }: Terms, { id }: Enqueued, { words }: Ledger): boolean =>
  onDuplicate === 'discard' &&
  words.some((word) => word.event === 'task:discarded' && word.id === id && word.more.endsWith('running'));

/** (b), (c) Everybody who was told that a run comes is followed by one, with arguments not older than his own. */
export function uncovered(ledger: Ledger, terms: Terms): string[] {
  return ledger.calls.flatMap((call) => {
    const waits = call.phase === 'queued' || call.phase === 'publishing';
    const promised = call.status === 'enqueued' || call.status === 'coalesced' || waits;
    if (!promised || call.status === 'failed' || missed(terms, call, ledger)) return [];
    const after = finishedAfter(call, ledger);
    const text = `call k${call.key} v${call.version} (${call.status} ${call.phase ?? ''})`;
    if (after.length === 0) return [`${text}: no run after it`];
    if (!holds(terms.ordered, call) || after.some((body) => newEnough(body, call, ledger))) return [];
    return [`${text}: only runs with older arguments after it`];
  });
}
