import type { LoanEvent } from './events.js';
import { eventKinds } from './events.js';

/** The first line of an events file, in this order. */
export const csvHeader = 'loan,month,kind,value';

/** A line that was left out, and why. Lines are counted from 1, the header included. */
export interface BadLine {
  readonly line: number;
  readonly reason: string;
}

/**
 * Reads events from CSV text with the columns `loan,month,kind,value` (README.md); empty lines are passed over, bad
 * ones are reported. Throws when the header is not as documented: then no line can be trusted.
 */
export function parseEvents(text: string): { events: LoanEvent[]; bad: BadLine[] } {
  const [header = '', ...lines] = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  if (header.trim() !== csvHeader) {
    throw new Error(`line 1 must be the header "${csvHeader}", it is "${header.slice(0, 80)}"`);
  }
  const events: LoanEvent[] = [];
  const bad: BadLine[] = [];
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const event = parseLine(line);
    if (typeof event === 'string') bad.push({ line: index + 2, reason: event });
    else events.push(event);
  }
  return { events, bad };
}

/** The event, or what is wrong with the line. */
function parseLine(line: string): LoanEvent | string {
  const columns = line.split(',').map((column) => column.trim());
  if (columns.length !== 4) return `4 columns expected, ${columns.length} found`;
  const [loan = '', at = '', name = '', amount = ''] = columns;
  const loanId = wholeNumber(loan, 1_000_000_000);
  if (loanId === undefined || loanId === 0) return `loan must be a whole number from 1, it is "${loan}"`;
  const month = wholeNumber(at, 600);
  if (month === undefined) return `month must be a whole number from 0 to 600, it is "${at}"`;
  const kind = eventKinds.find((known) => known === name);
  if (kind === undefined) return `kind must be one of ${eventKinds.join(', ')}, it is "${name}"`;
  const limit = kind === 'rate' ? 100 : 1_000_000_000;
  const value = /^\d+(\.\d+)?$/.test(amount) ? Number(amount) : Number.NaN;
  if (!(value <= limit)) return `value of a ${kind} must be a number from 0 to ${limit}, it is "${amount}"`;
  return { loanId, month, kind, value };
}

const wholeNumber = (text: string, limit: number): number | undefined =>
  /^\d+$/.test(text) && Number(text) <= limit ? Number(text) : undefined;
