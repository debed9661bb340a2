import { systemClock } from '../../lib/clock.js';
import { equivalence } from './equivalence/specs.js';

equivalence({
  seed: Number(process.env['SOLOTASK_SEED'] ?? systemClock.now() % 1e9),
  runs: Number(process.env['SOLOTASK_RUNS'] ?? 10_000),
  timeout: 1_800_000,
  exhaustive: true,
});
