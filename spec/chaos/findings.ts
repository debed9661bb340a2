import { meetings, uncovered } from '../simulation/verdict.js';
import type { Body, Enqueued, Ledger } from '../simulation/ledger.js';
import type { Nap } from './crew.js';

/** What excuses a finding: assumptions that were broken, and when. */
export interface Excuses {
  readonly naps: readonly Nap[];
  /** When a Redis lost its memory. */
  readonly forgot: readonly number[];
}

/** (a) to (c) over all keys. `limits`: what docs/guarantees.md does not promise, and why. */
export interface Findings {
  readonly found: readonly string[];
  readonly limits: readonly string[];
}

/** ms from waking up until a body has heard of its abort. */
const DROWSY = 1_000;

/** They met only while the process of one of them was stopped. */
function slept(one: Body, other: Body, naps: readonly Nap[]): boolean {
  const from = Math.max(one.started, other.started);
  const to = Math.min(one.ended, other.ended);
  return naps.some(
    (nap) => [one.process, other.process].includes(nap.process) && nap.from <= from && to <= nap.to + DROWSY,
  );
}

/** The first run after the call ended only when a node had lost its memory, and with it what the call left there. */
function forgotten(call: Enqueued, { bodies }: Ledger, forgot: readonly number[]): boolean {
  const end = bodies.find(({ started, end }) => started >= call.called && end === 'good')?.ended ?? Infinity;
  return forgot.some((at) => call.called <= at && at <= end);
}

/** Judges the ledgers by name, of which the first word is the recipe. */
export function judge(ledgers: ReadonlyMap<string, Ledger>, { naps, forgot }: Excuses): Findings {
  const found: string[] = [];
  const limits: string[] = [];
  for (const [key, ledger] of ledgers) {
    const onDuplicate = key.startsWith('discard') ? 'discard' : 'coalesce';
    const mayMeet = (one: Body, other: Body): boolean => slept(one, other, naps);
    const ordered = (call: Enqueued): boolean => onDuplicate === 'coalesce' && !forgotten(call, ledger, forgot);
    // All clocks are one clock: fences go on where a node forgot.
    const strict = { onDuplicate, forgot: false, ordered, mayMeet } as const;
    const everywhere = { ...strict, ordered: onDuplicate === 'coalesce', mayMeet: false } as const;
    const wrong = [...meetings(ledger, strict), ...uncovered(ledger, strict)];
    const known = [...meetings(ledger, everywhere), ...uncovered(ledger, everywhere)];
    found.push(...wrong);
    limits.push(...known.filter((text) => !wrong.includes(text)));
  }
  return { found, limits };
}
