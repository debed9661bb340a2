import type { Rest } from './history.js';
import type { Body, Enqueued, Ledger } from './ledger.js';
import type { Plan } from './plan.js';

/** What may be held against a history. */
export interface Terms {
  readonly onDuplicate: 'discard' | 'coalesce';
  /** The lease's own assumption about time was broken, or all of Redis forgot: bodies may meet. */
  readonly mayMeet: boolean;
  /** A node of Redis forgot: fences begin anew. */
  readonly forgot: boolean;
  /** The newest arguments win. */
  readonly ordered: boolean;
}

const overlaps = (one: Body, other: Body): boolean => one.started < other.ended && other.started < one.ended;

/** (a) No two bodies of one key at once; where they may meet, their fences tell which is the newer. */
export function meetings({ bodies }: Ledger, { mayMeet, forgot }: Terms): string[] {
  const found: string[] = [];
  const sorted = [...bodies].sort((one, other) => one.started - other.started);
  sorted.forEach((one, i) => {
    for (const other of sorted.slice(i + 1)) {
      if (one.key !== other.key || !overlaps(one, other)) continue;
      const what = `k${one.key}: v${one.version} on ${one.process} and v${other.version} on ${other.process} at once`;
      if (!mayMeet) found.push(what);
      else if (one.fence >= other.fence && !forgot) found.push(`${what}, and the later one's fence is not larger`);
    }
  });
  return found;
}

/** A run that began after the call, and that ended well or in the dead letters. */
const finishedAfter = (call: Enqueued, { bodies, dead }: Ledger): Body[] =>
  bodies.filter(
    ({ key, started, end, id }) =>
      key === call.key && started >= call.called && (end === 'good' || (end === 'threw' && dead.has(id))),
  );

/** Arguments of a call that had not returned before this one began are as new as this one's. */
function newEnough({ version }: Body, call: Enqueued, { calls }: Ledger): boolean {
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
    if (!terms.ordered || after.some((body) => newEnough(body, call, ledger))) return [];
    return [`${text}: only runs with older arguments after it`];
  });
}

/** (d) At rest no message is left, and in calm histories no key is held. */
function leftovers(plan: Plan, { quiet, left, held }: Rest): string[] {
  return [
    ...(quiet ? [] : ['it does not come to rest']),
    ...(left === 0 ? [] : [`${left} messages are left`]),
    ...(plan.calm ? held.map((key) => `held at rest: ${key}`) : []),
  ];
}

/**
 * In calm histories each run is the first for somebody. On several nodes a duplicate that meets the moment of a claim can
 * be taken by one of them as arguments, and by the others, proposed again, as a mark: one run more than needed.
 */
function superfluous(plan: Plan, ledger: Ledger): string[] {
  // Without a claim at enqueue a message is covered only by its own run.
  if (!plan.calm || plan.onDuplicate !== 'coalesce' || plan.recipe === 'worker' || plan.nodes > 1) return [];
  const first = (call: Enqueued): Body | undefined =>
    finishedAfter(call, ledger).find(({ version }) => version >= call.version);
  const needed = new Set(ledger.calls.map(first));
  // Of two calls under way together either may be the newer.
  const callOf = (body: Body | undefined): Enqueued | undefined =>
    ledger.calls.find((call) => call.version === body?.version);
  const late = (body: Body): boolean => {
    const before = callOf(ledger.bodies.findLast(({ key, started }) => key === body.key && started < body.started));
    const own = callOf(body);
    return before !== undefined && own !== undefined && before !== own && own.returned > before.called;
  };
  const extra = ledger.bodies.filter((body) => body.end === 'good' && !needed.has(body) && !late(body));
  return extra.map(
    ({ key, version, started }) => `k${key}: nobody needed the run of v${version} at ${started.toFixed(1)}`,
  );
}

function termsOf({ onDuplicate, recipe, faults, deaf, nodes, skew }: Plan): Terms {
  const has = (...kinds: string[]): boolean => faults.some(({ kind }) => kinds.includes(kind));
  const forgot = has('restart');
  // Without a claim at enqueue only the producers' clocks tell whose arguments are newer.
  const byClock = recipe === 'worker' && (skew > 0 || has('jump'));
  const ordered = onDuplicate === 'coalesce' && !forgot && !byClock;
  return { onDuplicate, forgot, ordered, mayMeet: deaf > 0 || has('block', 'jump') || (forgot && nodes === 1) };
}

/** What a history shows to be wrong; nothing when all is well. */
export function faultsOf(plan: Plan, rest: Rest): string[] {
  const terms = termsOf(plan);
  return [
    ...meetings(rest.ledger, terms),
    ...uncovered(rest.ledger, terms),
    ...leftovers(plan, rest),
    ...superfluous(plan, rest.ledger),
  ];
}
