import { equivalence } from './equivalence/specs.js';

// The same seed in every run, so that a failure is the change's; the long form plays others.
const seed = process.env['SOLOTASK_SEED'];
equivalence({ seed: Number(seed ?? 1), runs: 300, timeout: 120_000, exhaustive: seed === undefined });
