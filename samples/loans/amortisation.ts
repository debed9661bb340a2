import type { LoanEvent } from './events.js';

/** What a loan was opened with. */
export interface LoanTerms {
  /** Euros. */
  readonly principal: number;
  /** Per cent a year. */
  readonly rate: number;
  /** Until the last instalment. */
  readonly months: number;
}

/** What one rate for the rest of the term means for a loan. */
export interface Outlook {
  /** Added to the present rate, percentage points. */
  readonly shift: number;
  /** Next month's instalment, euros. */
  readonly instalment: number;
  /** Interest still to be paid, euros. */
  readonly remainingInterest: number;
  /** Effective yield of the whole loan, per cent a year; null when no rate explains its payments. */
  readonly yield: number | null;
}

/** A loan as its summary shows it. */
export interface Summary extends Outlook {
  /** Outstanding after the last event, euros. */
  readonly balance: number;
  /** The same under other rates. */
  readonly stressed: readonly Outlook[];
}

/** Percentage points by which the rate is moved: from -4 to 4 in steps of 0.1. */
const shifts = Array.from({ length: 81 }, (_, step) => (step - 40) / 10);

/** The summary of a loan after these events; always the same for the same input. */
export function summarise(terms: LoanTerms, events: readonly LoanEvent[]): Summary {
  const past = follow(terms, events);
  const stressed = shifts.map((shift) => project(terms, past, shift));
  return { balance: past.balance, ...project(terms, past, 0), stressed };
}

/** The level payment that pays off `balance` in `months`, at `rate` per cent a year. */
export function instalment(balance: number, rate: number, months: number): number {
  const monthly = rate / 1200;
  return cents(monthly === 0 ? balance / months : (balance * monthly) / (1 - (1 + monthly) ** -months));
}

/**
 * The rate a period at which the flows are worth nothing today, by Newton's method inside a bracket that bisection
 * narrows; undefined when the bracket (-50 % to 100 % a period) holds no root.
 */
export function internalRate(flows: readonly number[]): number | undefined {
  let [low, high] = [-0.5, 1];
  if (presentValue(flows, low).value * presentValue(flows, high).value > 0) return undefined;
  let rate = 0.005;
  for (let round = 0; round < 200 && high - low > 1e-12; round++) {
    const { value, slope } = presentValue(flows, rate);
    if (Math.abs(value) < 1e-7) break;
    if (value > 0) low = rate;
    else high = rate;
    const newton = rate - value / slope;
    rate = newton > low && newton < high ? newton : (low + high) / 2;
  }
  return rate;
}

/** Value today of one flow a period, and how it changes with the rate. */
function presentValue(flows: readonly number[], rate: number): { value: number; slope: number } {
  const discount = 1 / (1 + rate);
  let [value, derivative] = [0, 0];
  for (const flow of flows.toReversed()) {
    derivative = derivative * discount + value;
    value = value * discount + flow;
  }
  return { value, slope: -derivative * discount * discount };
}

/** One instalment a month from here to the end of the term; what is still open then falls due at once. */
function project(terms: LoanTerms, past: History, shift: number): Outlook {
  const rate = Math.max(past.rate + shift, 0);
  const flows = [...past.flows];
  const first = past.balance > 0 ? instalment(past.balance, rate, Math.max(terms.months - past.month, 1)) : 0;
  let { balance } = past;
  let remainingInterest = 0;
  for (let month = past.month + 1; balance > 0; month++) {
    const interest = cents((balance * rate) / 1200);
    const paid = month < terms.months ? Math.min(first, cents(balance + interest)) : cents(balance + interest);
    balance = cents(balance + interest - paid);
    remainingInterest += interest;
    flows.push(paid);
  }
  return {
    shift,
    instalment: first,
    remainingInterest: cents(remainingInterest),
    yield: annual(internalRate(flows)),
  };
}

/** A loan in the month of its last event. */
interface History {
  readonly balance: number;
  readonly rate: number;
  readonly month: number;
  /** One a month from the start; positive: paid to the lender. */
  readonly flows: readonly number[];
}

/** The loan, month by month, up to its last event. What is paid beyond the balance does not count. */
function follow(terms: LoanTerms, events: readonly LoanEvent[]): History {
  const ordered = events.toSorted((a, b) => a.month - b.month);
  const flows = [-terms.principal];
  let { principal: balance, rate } = terms;
  let month = 0;
  for (const event of ordered) {
    for (; month < event.month; month++) {
      balance = cents(balance * (1 + rate / 1200));
      flows.push(0);
    }
    if (event.kind === 'rate') rate = event.value;
    else {
      const paid = event.kind === 'payment' ? Math.min(event.value, balance) : -event.value;
      balance = cents(balance - paid);
      flows[month] = (flows[month] ?? 0) + paid;
    }
  }
  return { balance, rate, month, flows };
}

const cents = (euros: number): number => Math.round(euros * 100) / 100;

const annual = (monthly: number | undefined): number | null =>
  monthly === undefined ? null : Math.round(((1 + monthly) ** 12 - 1) * 1e6) / 1e4;
