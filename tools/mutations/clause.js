// A clause of the scripts is taken out of the Lua and of its twin in memory: two mutations.
import { EQUIVALENCE, MEMORY_GUARD, REDIS_GUARD, SIMULATED_DISCARD, SIMULATION } from './provers.js';

const MEMORY_FILES = { claims: 'memory-claims', holder: 'memory-holder', record: 'memory-record' };
const ON_MEMORY = [MEMORY_GUARD, EQUIVALENCE, SIMULATION, SIMULATED_DISCARD];
const ON_REDIS = [REDIS_GUARD, EQUIVALENCE];

/** The simulation is asked first: it knows nothing of scripts, and misses what they promise. */
export const simulated = (mutations) =>
  mutations.map((mutation) => ({
    ...mutation,
    by: mutation.by === ON_MEMORY ? [SIMULATION, SIMULATED_DISCARD, MEMORY_GUARD, EQUIVALENCE] : mutation.by,
  }));

/** `memory` and `lua`: a file, then pairs of a text that is there once and what is put there instead. */
export function clause(rule, name, memory, lua) {
  const [twin, ...twinEdits] = memory;
  const [script, ...edits] = lua;
  return [
    {
      name: `${name} (memory)`,
      rule,
      file: `dist/lib/guards/${MEMORY_FILES[twin]}.js`,
      edits: twinEdits,
      by: ON_MEMORY,
    },
    { name: `${name} (Lua)`, rule, file: `dist/lib/guards/scripts/${script}.lua`, edits, by: ON_REDIS },
  ];
}
