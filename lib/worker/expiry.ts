import type { Clock } from '../clock.js';
import type { Guard } from '../guard.js';
import type { Soon } from '../soon.js';
import type { Outcome } from './outcome.js';
import type { Run } from './run.js';

/** What it takes to judge a message by its age. */
export interface ExpiryParts {
  readonly guard: Guard;
  readonly clock: Clock;
}

/**
 * Ends a message whose `expires` has passed, unless its key's record says that it must run: then it runs, late as it is.
 * A message without a lock has nobody but itself to ask. A run that began is not judged again: its retries go on.
 */
export function expired(run: Run, { guard, clock }: ExpiryParts): Soon<Outcome | undefined> {
  const { attempt, expires } = run.head;
  if (expires === undefined || attempt > 1 || clock.now() < expires) return undefined;
  if (run.record === undefined) return { kind: 'expired', expires };
  return freed(run, run.record, expires, guard);
}

async function freed(run: Run, record: string, expires: number, guard: Guard): Promise<Outcome | undefined> {
  run.stage = 'claiming';
  const answer = await guard.expire(record, run.head.id);
  // A redelivery, or a parked copy of one, may have begun once, and others may have leaned on it, before its key was let go.
  const alone = answer === 'ok' || (answer === 'lost' && !run.suspect);
  return alone ? { kind: 'expired', expires } : undefined;
}
