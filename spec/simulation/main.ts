/**
 * `npm run simulate -- --seeds 100000 --from 1`: as many histories as wanted, of a form (`--discard`, `--coalesce`,
 * `--late`, `--long`) if wanted. `--show 42`: one of them, line by line.
 */
import { parseArgs } from 'node:util';
import { FORMS } from './plan.js';
import { simulate } from './simulate.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10000' },
    from: { type: 'string', default: '1' },
    show: { type: 'string' },
    discard: { type: 'boolean', default: false },
    coalesce: { type: 'boolean', default: false },
    late: { type: 'boolean', default: false },
    long: { type: 'boolean', default: false },
  },
});

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const form = (['discard', 'coalesce', 'late', 'long'] as const).find((name) => values[name]);
const change = form && FORMS[form];

if (values.show !== undefined) {
  const { plan, lines, faults } = await simulate(Number(values.show), change);
  say(JSON.stringify(plan, undefined, 1));
  for (const line of [...lines, ...faults]) say(line);
} else {
  const first = Number(values.from);
  const count = Number(values.seeds);
  let failed = 0;
  let steps = 0;
  let bodies = 0;
  const began = performance.now();
  for (let seed = first; seed < first + count; seed++) {
    const found = await simulate(seed, change);
    steps += found.steps;
    bodies += found.bodies;
    if (found.faults.length > 0) say(`seed ${seed}: ${found.faults.join('; ')}`);
    failed += Number(found.faults.length > 0);
  }
  const seconds = (performance.now() - began) / 1000;
  say(`${count} histories, ${steps} happenings, ${bodies} bodies in ${seconds.toFixed(1)} s: ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
}
