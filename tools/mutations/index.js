// Every mutation: a name, the rule of the lock protocol that it takes away, a file of the build, edits, and its provers.
import { ACKS } from './acks.js';
import { BATCH } from './batch.js';
import { CLAIM_CLAUSES } from './claims.js';
import { ENDS } from './ends.js';
import { EVIDENCE } from './evidence.js';
import { HAND_OVERS } from './hand-overs.js';
import { HOLDER_CLAUSES } from './holder.js';
import { LEASES } from './leases.js';
import { LONG_RUNS } from './long-runs.js';

export const MUTATIONS = [
  EVIDENCE,
  BATCH,
  LEASES,
  ACKS,
  ENDS,
  HAND_OVERS,
  LONG_RUNS,
  CLAIM_CLAUSES,
  HOLDER_CLAUSES,
].flat();
