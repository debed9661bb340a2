import type { LoanTerms } from './amortisation.js';
import { instalment } from './amortisation.js';

/** What can happen to a loan. */
export const eventKinds = ['payment', 'rate', 'drawdown'] as const;

/** Something that happened to a loan. */
export interface LoanEvent {
  readonly loanId: number;
  /** Months since the loan was opened. */
  readonly month: number;
  readonly kind: (typeof eventKinds)[number];
  /** Euros for a payment and a drawdown, per cent a year for a rate. */
  readonly value: number;
}

/** What a stream of events is drawn from; the same three give the same events. */
export interface StreamOptions {
  readonly count: number;
  readonly loans: number;
  readonly seed: number;
}

/** Events of one loan in a row, on average. */
const BURST = 5;

/** The terms that loan `loanId` is opened with. */
export function termsOf(loanId: number, seed: number): LoanTerms {
  const random = randomFrom(seed * 1_000_003 + loanId);
  return {
    principal: 1000 * between(random, 50, 500),
    rate: between(random, 4, 28) / 4,
    months: 12 * between(random, 15, 30),
  };
}

/**
 * A stream of events, the oldest first. They come in bursts, as a loan's bookings do, and some loans are busier than
 * others: that is where duplicates come from.
 */
export function* generateEvents({ count, loans, seed }: StreamOptions): Generator<LoanEvent> {
  const random = randomFrom(seed);
  const months = new Map<number, number>();
  let loanId = 0;
  for (let drawn = 0; drawn < count; drawn++) {
    if (loanId === 0 || random() < 1 / BURST) loanId = 1 + Math.floor(random() ** 1.5 * loans);
    const terms = termsOf(loanId, seed);
    const month = Math.min((months.get(loanId) ?? 0) + between(random, 0, 1), terms.months);
    months.set(loanId, month);
    yield { loanId, month, ...draw(random, terms) };
  }
}

function draw(random: () => number, terms: LoanTerms): Pick<LoanEvent, 'kind' | 'value'> {
  const dice = random();
  if (dice < 0.05) return { kind: 'rate', value: between(random, 4, 32) / 4 };
  if (dice < 0.1) return { kind: 'drawdown', value: 100 * between(random, 1, 50) };
  const due = instalment(terms.principal, terms.rate, terms.months);
  return { kind: 'payment', value: Math.round(due * (50 + 100 * random())) / 100 };
}

const between = (random: () => number, low: number, high: number): number =>
  low + Math.floor(random() * (high - low + 1));

/** Numbers in [0, 1) by a linear congruential generator; its high bits, which is all that we use, are even enough. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  // The first draws of neighbouring seeds are neighbours themselves.
  for (let skipped = 0; skipped < 8; skipped++) next();
  return next;
}
