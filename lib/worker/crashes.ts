import { PoisonError } from '../errors.js';
import type { Guard } from '../guard.js';
import { crashesName } from '../notes.js';
import type { Soon } from '../soon.js';
import type { Outcome } from './outcome.js';
import type { Run } from './run.js';

/** What it takes to count crashes. */
export interface CrashParts {
  readonly guard: Guard;
  readonly namespace: string;
}

/** More bodies of one message than this may not end with their process. */
export const MOST_CRASHES = 5;
/** How long a crash is remembered, ms. */
const MEMORY = 86_400_000;

/**
 * Finds the messages that kill their workers. A delivery that may have begun before is counted as its body begins, and
 * forgotten as it ends, however it ends: what is left are bodies whose end nobody saw. What was only delivered, and given
 * back by a stop or lost with its link, is not counted; nor does a first delivery cost anything.
 */
export class Crashes {
  readonly #parts: CrashParts;

  constructor(parts: CrashParts) {
    this.#parts = parts;
  }

  /** The body is about to begin. A dead letter when too many have ended with their process; Redis away lets it begin. */
  begin(run: Run): Soon<Outcome | undefined> {
    return !run.suspect || run.definition?.acksLate === false ? undefined : this.#count(run);
  }

  async #count(run: Run): Promise<Outcome | undefined> {
    run.counted = true;
    const count = (await this.#parts.guard.notes.count(this.#name(run), MEMORY)) ?? 0;
    if (count <= MOST_CRASHES) return undefined;
    await this.end(run);
    const { task, id } = run.event();
    const text = `${task}: its process died during the last ${count - 1} runs of this message, so it is not run again`;
    const error = new PoisonError(text, { task, id, crashes: count - 1 });
    return { kind: 'dead', code: error.code, error };
  }

  /** The body has ended, or is not waited for any longer; this process lives. */
  async end(run: Run): Promise<void> {
    if (!run.counted) return;
    run.counted = false;
    await this.#parts.guard.notes.forget(this.#name(run));
  }

  #name(run: Run): string {
    return crashesName(this.#parts.namespace, run.head.id);
  }
}
