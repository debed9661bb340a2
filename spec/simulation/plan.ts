import { ARROWS, type Arrow } from '../support/quorum.js';
import type { Random } from './random.js';

const DEEDS = ['publish', 'ack', 'body'] as const;
/** What a process does that a fault can strike at, as it is done. */
export type Moment = Arrow | (typeof DEEDS)[number];

/** At a time (ms of the world), after so many happenings, or when a process does something for the nth time. */
export type When =
  { readonly at: number } | { readonly step: number } | { readonly moment: Moment; readonly nth: number };

/** What goes wrong with a process. */
export interface ProcessFault {
  readonly kind: 'kill' | 'cut' | 'block' | 'jump' | 'stop';
  readonly process: number;
  readonly when: When;
  readonly ms: number;
}

/** What goes wrong with a node of Redis, or with the queue. */
export type PlaceFault =
  | { readonly kind: 'pause' | 'restart'; readonly at: number; readonly node: number; readonly ms: number }
  | { readonly kind: 'refuse'; readonly at: number; readonly ms: number };

export type Fault = ProcessFault | PlaceFault;

/** One enqueue, or several in one go. */
export interface Call {
  readonly at: number;
  readonly producer: number;
  /** More than one: `enqueueMany`. */
  readonly keys: readonly number[];
  readonly delay: number;
  /** After the delay, ms; undefined: never. */
  readonly expires: number | undefined;
  /** By name, without a lock; to a task that nobody knows; without the arguments that its key is made of. */
  readonly foreign: 'recompute' | 'unknown' | 'invalid' | undefined;
}

/** Everything about a history that its seed decides beforehand; the rest is drawn as it goes. */
export interface Plan {
  readonly seed: number;
  readonly calm: boolean;
  readonly recipe: 'enqueue' | 'worker' | 'both';
  readonly onDuplicate: 'discard' | 'coalesce' | 'reject' | 'requeue';
  /** ms; 0: not at all. */
  readonly keepFor: number;
  readonly onLockError: 'refuse' | 'publish';
  readonly acksLate: boolean;
  /** ms between two looks of a stand-in; 0: its tasks are not long. */
  readonly long: number;
  readonly onConnectionLoss: 'abort' | 'finish';
  readonly nodes: 1 | 3 | 5;
  readonly producers: number;
  readonly workers: number;
  /** The last worker runs an older release, which has not got the task. */
  readonly ignorant: boolean;
  readonly concurrency: number;
  readonly calls: readonly Call[];
  readonly faults: readonly Fault[];
  /** ms */
  readonly lease: number;
  readonly ttl: number;
  readonly attempts: number;
  readonly retryDelay: number;
  /** Longest body, ms. */
  readonly work: number;
  /** Probability that a body throws. */
  readonly failing: number;
  /** Probability that a body does not heed its signal. */
  readonly deaf: number;
  /** Probability that a body enqueues its own key. */
  readonly nested: number;
  /** Probability that a Redis command, or its answer, gets lost. */
  readonly loss: number;
  /** Probability that a Redis command is executed seconds late, as one that hangs in an old connection. */
  readonly late: number;
  readonly latency: number;
  /** The largest error of a wall clock, ms. */
  readonly skew: number;
}

/** Calls come within this time, ms. */
const SPAN = 4_000;

type Parts = Pick<Plan, 'nodes' | 'producers' | 'workers' | 'lease'>;

function drawWhen(random: Random, at: number): When {
  if (random.chance(0.3)) return { step: random.whole(1, 600) };
  if (random.chance(0.5)) return { moment: random.pick([...ARROWS, ...DEEDS]), nth: random.whole(1, 6) };
  return { at };
}

function drawFault(random: Random, { nodes, producers, workers, lease }: Parts, at: number): Fault {
  const kinds = ['kill', 'kill', 'cut', 'cut', 'block', 'stop', 'jump', 'pause', 'restart', 'refuse'] as const;
  const kind = random.pick(kinds);
  const process = random.whole(0, producers + workers - 1);
  const node = random.whole(0, nodes - 1);
  const span = { jump: 5_000, block: lease * 3, pause: lease * 2, stop: lease, refuse: 2_000 } as const;
  switch (kind) {
    case 'kill':
    case 'cut':
      return { kind, process, when: drawWhen(random, at), ms: 0 };
    case 'block':
    case 'stop':
      return { kind, process, when: drawWhen(random, at), ms: random.between(0, span[kind]) };
    case 'jump':
      return { kind, process, when: drawWhen(random, at), ms: random.between(-span.jump, span.jump) };
    case 'pause':
      return { kind, at, node, ms: random.between(0, span.pause) };
    // A Redis without persistence has to stay away for longer than a lease, or it forgets who runs.
    case 'restart':
      return { kind, at, node, ms: lease * 1.2 + random.between(0, 1_000) };
    case 'refuse':
      return { kind, at, ms: random.between(0, span.refuse) };
  }
}

/** Spread over the history, or all of them close together. */
function drawFaults(random: Random, parts: Parts): Fault[] {
  const center = random.chance(0.3) ? random.between(0, SPAN) : undefined;
  const moment = (): number => (center === undefined ? random.between(0, SPAN * 1.5) : center + random.between(0, 100));
  return Array.from({ length: random.whole(0, 5) }, () => drawFault(random, parts, moment()));
}

function drawCalls(random: Random, { producers }: Parts, calm: boolean): Call[] {
  const keys = random.whole(1, 2);
  const busy = random.pick([50, 300, 1_000, SPAN]);
  const expiring = random.chance(0.3);
  const strange = !calm && random.chance(0.2);
  const calls = Array.from({ length: random.whole(2, 10) }, () => ({
    at: random.between(0, busy),
    producer: random.whole(0, producers - 1),
    keys: Array.from({ length: random.chance(0.1) ? 3 : 1 }, () => random.whole(1, keys)),
    delay: random.chance(0.2) ? random.pick([200, 1_500, 6_000]) : 0,
    expires: expiring && random.chance(0.6) ? random.pick([50, 500, 3_000, 60_000]) : undefined,
    foreign: strange && random.chance(0.3) ? random.pick(['recompute', 'unknown', 'invalid'] as const) : undefined,
  }));
  return calls.sort((one, other) => one.at - other.at);
}

/** How duplicates are treated, and where. */
function drawStrategy(random: Random): Pick<Plan, 'recipe' | 'onDuplicate' | 'keepFor'> {
  const onDuplicate = random.pick([
    'coalesce',
    'coalesce',
    'coalesce',
    'discard',
    'discard',
    'reject',
    'requeue',
  ] as const);
  const recipe = onDuplicate === 'requeue' ? 'worker' : random.pick(['enqueue', 'enqueue', 'worker', 'both'] as const);
  const keeps = onDuplicate !== 'coalesce' && random.chance(0.2);
  return { onDuplicate, recipe, keepFor: keeps ? random.pick([500, 3_000]) : 0 };
}

/** When a message is acknowledged, and what its loss means. */
function drawEnds(random: Random): Pick<Plan, 'acksLate' | 'long' | 'onConnectionLoss'> {
  const acksLate = !random.chance(0.12);
  const long = acksLate && random.chance(0.25) ? random.pick([1_000, 2_000, 5_000]) : 0;
  return { acksLate, long, onConnectionLoss: acksLate && random.chance(0.2) ? 'finish' : 'abort' };
}

/** The plan of a seed. */
export function draw(seed: number, random: Random): Plan {
  const calm = random.chance(0.25);
  const lease = random.pick([600, 1_000, 3_000]);
  const nodes = random.pick([1, 1, 1, 3, 3, 5] as const);
  const workers = random.whole(1, 3);
  const parts = { nodes, producers: random.whole(1, 2), workers, lease } as const;
  const wild = (probability: number, ...values: readonly number[]): number =>
    !calm && random.chance(probability) ? random.pick(values) : 0;
  return {
    ...parts,
    ...drawStrategy(random),
    seed,
    calm,
    onLockError: random.chance(0.2) ? 'publish' : 'refuse',
    ...drawEnds(random),
    ignorant: !calm && workers > 1 && random.chance(0.05),
    concurrency: random.whole(1, 3),
    calls: drawCalls(random, parts, calm),
    faults: calm ? [] : drawFaults(random, parts),
    ttl: random.pick([2_000, 20_000]),
    attempts: random.whole(1, 3),
    retryDelay: random.pick([0, 100, 1_500, 4_000]),
    work: random.pick([5, 200, lease * 1.5]),
    failing: wild(0.5, 0.3),
    deaf: wild(0.1, 0.5),
    nested: random.chance(0.15) ? 0.4 : 0,
    loss: wild(0.5, 0.02, 0.1),
    late: wild(0.2, 0.02, 0.1),
    latency: calm ? 5 : random.pick([2, 20, 60]),
    skew: calm ? 0 : random.pick([0, 50, 2_000]),
  };
}

/** What may be made of a drawn plan: histories in which some rule matters more often than in others. */
export const FORMS: Readonly<Record<'discard' | 'coalesce' | 'late' | 'long', (plan: Plan) => Plan>> = {
  discard: (plan) => ({ ...plan, onDuplicate: 'discard' }),
  coalesce: (plan) => ({ ...plan, onDuplicate: 'coalesce', keepFor: 0 }),
  // Claims are executed after their deliveries were dropped, and would hold the key for nobody (client rule 7).
  late: (plan) => ({
    ...FORMS.discard(plan),
    recipe: 'worker',
    acksLate: true,
    ignorant: false,
    keepFor: 0,
    nodes: 1,
    faults: [],
    work: Math.max(plan.work, 200),
    late: 0.25,
  }),
  long: (plan) => ({ ...plan, acksLate: true, long: plan.long === 0 ? 1_000 : plan.long }),
};
