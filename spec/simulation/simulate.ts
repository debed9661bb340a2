import { History } from './history.js';
import { draw, type Plan } from './plan.js';
import { Random } from './random.js';
import { faultsOf } from './judge.js';

/** What one seed came to. */
export interface Finding {
  readonly plan: Plan;
  readonly faults: readonly string[];
  readonly lines: readonly string[];
  readonly steps: number;
  readonly bodies: number;
}

/** Plays the history of a seed. The same seed plays the same one. */
export async function simulate(seed: number, change: (plan: Plan) => Plan = (plan) => plan): Promise<Finding> {
  const plan = change(draw(seed, new Random(seed)));
  const rest = await new History(plan).play();
  // A history is played in one turn of the event loop; timers of the process have theirs now.
  await new Promise((resolve) => setImmediate(resolve));
  const { ledger, steps } = rest;
  return { plan, faults: faultsOf(plan, rest), lines: ledger.lines(), steps, bodies: ledger.bodies.length };
}
