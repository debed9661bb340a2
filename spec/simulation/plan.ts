import type { Random } from './random.js';

/** What goes wrong, and when (ms of the world, or after so many happenings). */
export type Fault =
  | { readonly kind: 'kill'; readonly step: number; readonly process: number }
  | { readonly kind: 'cut' | 'block' | 'jump'; readonly at: number; readonly process: number; readonly ms: number }
  | { readonly kind: 'pause' | 'restart'; readonly at: number; readonly node: number; readonly ms: number }
  | { readonly kind: 'refuse'; readonly at: number; readonly ms: number };

/** One enqueue. */
export interface Call {
  readonly at: number;
  readonly producer: number;
  readonly key: number;
  readonly delay: number;
}

/** Everything about a history that its seed decides beforehand; the rest is drawn as it goes. */
export interface Plan {
  readonly seed: number;
  readonly calm: boolean;
  readonly recipe: 'enqueue' | 'worker' | 'both';
  readonly onDuplicate: 'discard' | 'coalesce';
  readonly nodes: 1 | 3;
  readonly producers: number;
  readonly workers: number;
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
  /** Probability that a Redis command, or its answer, gets lost. */
  readonly loss: number;
  readonly latency: number;
  /** The largest error of a wall clock, ms. */
  readonly skew: number;
}

/** Calls come within this time, ms. */
const SPAN = 4_000;

function drawFault(random: Random, plan: Pick<Plan, 'nodes' | 'producers' | 'workers' | 'lease'>): Fault {
  const process = random.whole(0, plan.producers + plan.workers - 1);
  const at = random.between(0, SPAN * 1.5);
  const node = random.whole(0, plan.nodes - 1);
  const kind = random.pick([
    'kill',
    'kill',
    'kill',
    'cut',
    'cut',
    'block',
    'jump',
    'pause',
    'restart',
    'refuse',
  ] as const);
  switch (kind) {
    case 'kill':
      return { kind, step: random.whole(1, 600), process };
    case 'cut':
    case 'jump':
      return { kind, at, process, ms: random.between(-5_000, 5_000) };
    case 'block':
      return { kind, at, process, ms: random.between(0, plan.lease * 2) };
    case 'pause':
      return { kind, at, node, ms: random.between(0, plan.lease * 2) };
    // A Redis without persistence has to stay away for longer than a lease, or it forgets who runs.
    case 'restart':
      return { kind, at, node, ms: plan.lease * 1.2 + random.between(0, 1_000) };
    case 'refuse':
      return { kind, at, ms: random.between(0, 2_000) };
  }
}

/** The plan of a seed. */
export function draw(seed: number, random: Random): Plan {
  const calm = random.chance(0.25);
  const producers = random.whole(1, 2);
  const workers = random.whole(1, 3);
  const nodes = random.chance(0.6) ? 1 : 3;
  const lease = random.pick([600, 1_000, 3_000]);
  const keys = random.whole(1, 2);
  const busy = random.pick([300, 1_000, SPAN]);
  const calls = Array.from({ length: random.whole(2, 10) }, () => ({
    at: random.between(0, busy),
    producer: random.whole(0, producers - 1),
    key: random.whole(1, keys),
    delay: random.chance(0.15) ? random.pick([200, 1_500]) : 0,
  }));
  const parts = { nodes, producers, workers, lease } as const;
  return {
    ...parts,
    seed,
    calm,
    recipe: random.pick(['enqueue', 'enqueue', 'worker', 'both'] as const),
    onDuplicate: random.chance(0.7) ? 'coalesce' : 'discard',
    concurrency: random.whole(1, 3),
    calls: calls.sort((one, other) => one.at - other.at),
    faults: calm ? [] : Array.from({ length: random.whole(0, 4) }, () => drawFault(random, parts)),
    ttl: random.pick([2_000, 20_000]),
    attempts: random.whole(1, 3),
    retryDelay: random.pick([0, 100, 1_500]),
    work: random.pick([5, 200, lease * 1.5]),
    failing: calm || random.chance(0.5) ? 0 : 0.3,
    deaf: !calm && random.chance(0.1) ? 0.5 : 0,
    loss: calm || random.chance(0.5) ? 0 : random.pick([0.02, 0.1]),
    latency: calm ? 5 : random.pick([2, 20, 60]),
    skew: calm ? 0 : random.pick([0, 50, 2_000]),
  };
}
