import type { Clock } from '../clock.js';
import type { Guard } from '../guard.js';
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
export async function expired(run: Run, { guard, clock }: ExpiryParts): Promise<Outcome | undefined> {
  const { id, attempt, expires } = run.head;
  if (expires === undefined || attempt > 1 || clock.now() < expires) return undefined;
  if (run.record === undefined) return { kind: 'expired', expires };
  run.stage = 'claiming';
  const answer = await guard.expire(run.record, id);
  // A redelivery, or a parked copy of one, may have begun once, and others may have leaned on it, before its key was let go.
  const alone = answer === 'ok' || (answer === 'lost' && !run.suspect);
  return alone ? { kind: 'expired', expires } : undefined;
}
