import type { Rest } from './history.js';
import type { Body, Enqueued, Ledger, Word } from './ledger.js';
import type { Plan } from './plan.js';
import { finishedAfter, newEnough } from './verdict.js';

/** After `publishTimeout` an enqueue may still wait for the answer to its last commands, ms. */
const SLACK = 2_000;
const PUBLISH_TIMEOUT = 10_000;

/** Codes of failed enqueues that say that nothing was published. */
const UNPUBLISHED = ['LOCK_UNAVAILABLE', 'DUPLICATE_UNDECIDED', 'BROKER_UNAVAILABLE', 'PUBLISH_REFUSED', 'DUPLICATE'];
/** Ends of a message without a run, that nobody who leaned on it is covered by. */
const UNRUN = ['UNKNOWN_TASK', 'KEY', 'PAYLOAD', 'UNREADABLE'];
const ENDS = ['task:succeeded', 'task:dead', 'task:expired', 'task:discarded', 'task:coalesced'];

const name = ({ key, version, status, phase = '' }: Enqueued): string =>
  `call k${key} v${version} (${status} ${phase})`;

/** What a history is judged by. */
class Case {
  readonly plan: Plan;
  readonly ledger: Ledger;
  readonly #words = new Map<string, Word[]>();

  constructor(plan: Plan, ledger: Ledger) {
    this.plan = plan;
    this.ledger = ledger;
    for (const word of ledger.words) this.#words.set(word.id, [...(this.#words.get(word.id) ?? []), word]);
  }

  /** Faults that were planned. */
  has(...kinds: string[]): boolean {
    return this.plan.faults.some(({ kind }) => kinds.includes(kind));
  }

  /** Nothing went wrong. */
  get untroubled(): boolean {
    const { faults, loss, late, deaf } = this.plan;
    return faults.length === 0 && loss === 0 && late === 0 && deaf === 0;
  }

  words(id: string, ...events: string[]): Word[] {
    return (this.#words.get(id) ?? []).filter(({ event }) => events.includes(event));
  }

  /** The task, and those that it was dropped for, and so on. */
  trail(id: string): string[] {
    const found = new Set([id]);
    for (const one of found) for (const { holder } of this.words(one, ...ENDS)) if (holder) found.add(holder);
    return [...found];
  }
}

/** At this moment the body's process could not know, or the body would not hear, that its lease had ended. */
function outOfReach(body: Body, at: number, { blocks }: Ledger): boolean {
  if (body.deaf === true && (body.aborted ?? Infinity) <= at) return true;
  return blocks.some(({ process, from, to }) => process === body.process && from <= at && at <= to);
}

/**
 * (a) No two bodies of one key at once, unless the older one was out of reach when its lease had ended. The fences of
 * successive bodies rise, unless a Redis forgot.
 */
function meetings(given: Case): string[] {
  const { bodies } = given.ledger;
  const found: string[] = [];
  const sorted = [...bodies].sort((one, other) => one.started - other.started);
  sorted.forEach((one, i) => {
    for (const other of sorted.slice(i + 1)) {
      if (one.key !== other.key) continue;
      const what = `k${one.key}: v${one.version} on ${one.process} and v${other.version} on ${other.process}`;
      if (other.started < one.ended && !outOfReach(one, other.started, given.ledger)) found.push(`${what} at once`);
      if (one.fence >= other.fence && !given.has('restart')) found.push(`${what}: the later one's fence is not larger`);
    }
  });
  return found;
}

/** Its key was another's before it came: it has none at enqueue, waited longer than its `ttl`, or a Redis forgot it. */
function overtaken(given: Case, { id, at }: Word): boolean {
  const { recipe, onLockError, ttl } = given.plan;
  const byName = given.ledger.calls.some((call) => call.id === id && call.foreign === true);
  if (recipe === 'worker' || byName || onLockError === 'publish' || given.has('restart')) return true;
  const waits = given.words(id, 'task:enqueued', 'task:retried').findLast((word) => word.at < at);
  return at - (waits?.at ?? -Infinity) > ttl;
}

/**
 * What the strategy itself gives up: at the worker `discard` drops for one that runs, `keepFor` for one that ran, and
 * `reject` buries. Whose holder waits gives up nothing, unless that was overtaken.
 */
function givenUp(given: Case, call: Enqueued, trail: readonly string[]): boolean {
  return trail.some((id) => {
    const dropped = given
      .words(id, 'task:discarded')
      .filter((word) => (word.why === 'running' || word.why === 'kept') && overtaken(given, word));
    const rejected = given.ledger.diedOf(id, ['DUPLICATE']);
    return dropped.length > 0 || (rejected && call.status === 'enqueued');
  });
}

/** By how much a producer's clock and a worker's may differ, ms: they are set before, and jump meanwhile. */
const tolerance = (given: Case): number =>
  given.plan.faults.reduce((sum, fault) => sum + (fault.kind === 'jump' ? Math.abs(fault.ms) : 0), 2 * given.plan.skew);

/** Its own time had passed when the one that it leaned on expired. */
const outlived = (given: Case, { expires = Infinity }: Enqueued, trail: readonly string[]): boolean =>
  trail.some((id) => given.words(id, 'task:expired').some(({ at }) => at + tolerance(given) >= expires));

function excused(given: Case, call: Enqueued): boolean {
  const trail = given.trail(call.id);
  const unrun = trail.some((id) => given.ledger.diedOf(id, UNRUN));
  // At most once: what dies after its early ack is lost.
  const atMostOnce = !given.plan.acksLate && !given.untroubled;
  // A Redis that forgot has forgotten who leaned on the holder: that one expires by its own time.
  const forgotten = given.has('restart') && trail.some((id) => given.words(id, 'task:expired').length > 0);
  return unrun || atMostOnce || forgotten || outlived(given, call, trail) || givenUp(given, call, trail);
}

/** Whether the newest arguments win: they are lost with a Redis that forgets, and ordered by clocks without a claim. */
function ordered(given: Case, call: Enqueued): boolean {
  const { recipe, onDuplicate, skew, onLockError } = given.plan;
  const byClock = recipe === 'worker' || onLockError === 'publish';
  // Without a sequence whatever is kept with the key counts as newer, also what one node kept too long.
  if (onDuplicate !== 'coalesce' || call.foreign === true || (byClock && (skew > 0 || given.has('jump')))) return false;
  const handedOver = call.status === 'coalesced' || given.words(call.id, 'task:coalesced').length > 0;
  return !(given.has('restart') && handedOver);
}

/** (b), (c) Everybody who was told that a run comes is followed by one, with arguments not older than his own. */
function uncovered(given: Case): string[] {
  return given.ledger.calls.flatMap((call) => {
    const { status, phase } = call;
    const promised = status === 'enqueued' || status === 'coalesced' || (status === 'discarded' && phase === 'queued');
    if (!promised) return [];
    const after = finishedAfter(call, given.ledger);
    if (after.length === 0) return excused(given, call) ? [] : [`${name(call)}: no run after it`];
    if (!ordered(given, call) || after.some((body) => newEnough(body, call, given.ledger))) return [];
    return excused(given, call) ? [] : [`${name(call)}: only runs with older arguments after it`];
  });
}

/** Its message proves by a sequence of Redis that a later run covers it; the others go by the id of the last run alone. */
const bySequence = ({ recipe, onLockError, onDuplicate }: Plan): boolean =>
  recipe !== 'worker' && onLockError !== 'publish' && (onDuplicate === 'discard' || onDuplicate === 'coalesce');

/** Done is done: what was released as a good run does not run again with the same arguments. */
function again(given: Case): string[] {
  const { plan, ledger } = given;
  // A Redis that forgot knows of no run.
  if (given.has('restart')) return [];
  return ledger.bodies.flatMap((body) => {
    const { id, key, version, started } = body;
    // Arguments that were handed over may have been so twice, the second time to the run that had them already.
    const own = ledger.calls.find((call) => call.version === version && call.id === id && call.status === 'enqueued');
    if (own === undefined) return [];
    const ended = given.words(id, 'task:succeeded').find(({ at, recovered }) => at <= started && recovered !== true);
    const good = ledger.bodies.find((one) => one.id === id && one.version === version && one.end === 'good');
    if (ended === undefined || good === undefined || good.ended > ended.at || good === body) return [];
    // Only the last run is remembered.
    const between = (at: number): boolean => at > good.started && at < started;
    const other =
      ledger.bodies.some((one) => one.key === key && one.id !== id && between(one.started)) ||
      ledger.calls.some(
        (call) => call.key === key && call.id !== id && given.words(call.id, ...ENDS).some(({ at }) => between(at)),
      );
    return other && (own.foreign === true || !bySequence(plan))
      ? []
      : [`k${key}: v${version} runs again at ${started.toFixed(1)}, though it is done`];
  });
}

/**
 * At rest the newest arguments have won. On several nodes one that missed a release still keeps what it covered, and a
 * message without a sequence takes that; and such a message is covered by its own run alone: limits.
 */
function stale(given: Case): string[] {
  const { plan, ledger } = given;
  if (plan.nodes > 1 && ledger.calls.some(({ foreign }) => foreign === true)) return [];
  if (given.has('restart') || !bySequence(plan)) return [];
  const good = ledger.bodies.filter(({ end }) => end === 'good').sort((one, other) => one.started - other.started);
  const callOf = ({ version }: Body): Enqueued => ledger.calls.find((call) => call.version === version) as Enqueued;
  return [...new Set(good.map(({ key }) => key))].flatMap((key) => {
    const runs = good.filter((body) => body.key === key);
    const last = runs.at(-1) as Body;
    const newer = runs.find((body) => callOf(body).called > callOf(last).returned);
    const foreign = ledger.calls.some(({ id, foreign: byName }) => id === last.id && byName === true);
    return newer === undefined || foreign || callOf(last).foreign === true || callOf(newer).foreign === true
      ? []
      : [`k${key}: it ends with v${last.version}, after v${newer.version} has run`];
  });
}

/** Who is dropped because another one runs can name one that did. */
function ghosts(given: Case): string[] {
  const { calls, bodies, words } = given.ledger;
  const ran = (id: string): boolean =>
    bodies.some((body) => body.id === id) || given.trail(id).some((of) => given.ledger.diedOf(of, UNRUN));
  const missed = (call: Enqueued | undefined): boolean =>
    call !== undefined && finishedAfter(call, given.ledger).length === 0;
  const callers = calls.filter(
    (call) => call.status === 'discarded' && call.phase === 'running' && !ran(call.id) && missed(call),
  );
  const messages = words.filter(
    ({ event, why, id, holder = '' }) =>
      event === 'task:discarded' && why === 'running' && !ran(holder) && missed(calls.find((call) => call.id === id)),
  );
  return [
    ...callers.map((call) => `${name(call)}: the one that runs never ran`),
    ...messages.map(({ id, holder = '' }) => `${id.slice(0, 8)}: dropped for ${holder.slice(0, 8)}, which never ran`),
  ];
}

/** Who waits for its turn, or was told that it was enqueued, has a run of its own. */
function turns(given: Case): string[] {
  // A worker that has not got the task treats its key by the default, which drops.
  if (given.plan.onDuplicate !== 'requeue' || given.plan.ignorant) return [];
  const own = (call: Enqueued): boolean => finishedAfter(call, given.ledger).some(({ id }) => id === call.id);
  const without = given.ledger.calls.filter((call) => call.status === 'enqueued' && !own(call));
  return without.filter((call) => !excused(given, call)).map((call) => `${name(call)}: it had no turn`);
}

/** Enqueues come to an end in time; one that says that nothing was published has published nothing. */
function outcomes(given: Case): string[] {
  const { blocks, calls, stored } = given.ledger;
  const blocked = blocks.reduce((sum, { from, to }) => sum + to - from, 0);
  return calls.flatMap((call) => {
    const took = call.returned - call.called;
    if (call.status === 'pending') return given.has('kill') ? [] : [`${name(call)}: it stays open`];
    return [
      ...(took > PUBLISH_TIMEOUT + SLACK + blocked ? [`${name(call)}: it took ${took.toFixed(0)} ms`] : []),
      ...(call.status === 'failed' && UNPUBLISHED.includes(call.phase ?? '') && stored.has(call.version)
        ? [`${name(call)}: it says that nothing was published, and the broker has the message`]
        : []),
    ];
  });
}

/** (e) Each message that was accepted ends with an event, and where nothing goes wrong with one. */
function ends(given: Case): string[] {
  const { acksLate, long, onDuplicate } = given.plan;
  // What was acknowledged early and then failed to go on has no message to say it of.
  if (!acksLate && !given.untroubled) return [];
  return given.ledger.words.flatMap(({ event, id }) => {
    if (event !== 'task:enqueued') return [];
    const count = given.words(id, ...ENDS).length;
    if (count === 0) return [`${id.slice(0, 8)}: nobody said how it ended`];
    // With newer arguments a task runs again, and says so; a stand-in that meets the moment of its run's end says so, too.
    const once = given.untroubled && onDuplicate !== 'coalesce' && long === 0;
    return once && count > 1 ? [`${id.slice(0, 8)}: it ended ${count} times`] : [];
  });
}

/**
 * Results are of runs that count; what nobody can run is in the dead letters. Whose holder was itself dropped, for newer
 * arguments beside a run, can be told of that run: a limit.
 */
function results(given: Case): string[] {
  const { bodies, calls, dead, strays } = given.ledger;
  const wrong = calls.filter(({ key, result }) => {
    if (typeof result !== 'object') return false;
    const of = bodies.find((body) => body.key === key && body.fence === result.fence && body.end === 'good');
    return of === undefined || of.version !== result.version;
  });
  const stale = calls.filter(
    (call) =>
      call.status === 'coalesced' &&
      typeof call.result === 'object' &&
      ordered(given, call) &&
      given.words(call.id, 'task:coalesced').length === 0 &&
      !finishedAfter(call, given.ledger).some(({ fence }) => fence === (call.result as { fence: number }).fence),
  );
  return [
    ...wrong.map((call) => `${name(call)}: its result is of no good run`),
    ...stale.map((call) => `${name(call)}: its result is of a run that began before it`),
    ...strays.filter((id) => !dead.has(id)).map((id) => `${id.slice(0, 8)}: nobody can run it, and it is not dead`),
  ];
}

/** (d) At rest no message is left and, where nothing can have lost sight of a lock, no key is held. */
function leftovers(given: Case, { quiet, left, held }: Rest): string[] {
  const { calls } = given.ledger;
  const lost = !given.untroubled || calls.some(({ status }) => status === 'failed');
  return [
    ...(quiet ? [] : ['it does not come to rest']),
    ...(left === 0 ? [] : [`${left} messages are left`]),
    ...(lost ? [] : held.map((key) => `held at rest: ${key}`)),
  ];
}

/**
 * In calm histories each run is the first for somebody. On several nodes a duplicate that meets the moment of a claim can
 * be taken by one of them as arguments, and by the others, proposed again, as a mark: one run more than needed.
 */
function superfluous(given: Case): string[] {
  const { plan, ledger } = given;
  // Without a claim at enqueue a message is covered only by its own run.
  if (!plan.calm || plan.onDuplicate !== 'coalesce' || plan.recipe === 'worker' || plan.nodes > 1) return [];
  const first = (call: Enqueued): Body | undefined =>
    finishedAfter(call, given.ledger).find(({ version }) => version >= call.version);
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

/** What a history shows to be wrong; nothing when all is well. */
export function faultsOf(plan: Plan, rest: Rest): string[] {
  const given = new Case(plan, rest.ledger);
  const checks = [meetings, again, stale, ghosts, uncovered, turns, outcomes, ends, results, superfluous];
  return [...checks.flatMap((check) => check(given)), ...leftovers(given, rest)];
}
