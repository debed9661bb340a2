import { systemClock } from '../clock.js';
import { painter, type Paint } from './colours.js';
import { print } from './print.js';

/** For texts on stdout. */
export const paint: Paint = (style, text) => painter(process.stdout.isTTY, process.env)(style, text);

/** Columns of the terminal; 80 where there is none. */
export const columns = (): number => process.stdout.columns || 80;

export const printJson = (value: unknown): Promise<void> => print(`${JSON.stringify(value, null, 2)}\n`);

/** `3s`, `12m`, `5h`, `2d`: one unit, rounded down. */
export function span(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** How long ago; `-` when nobody knows. */
export const ago = (at: number | undefined): string => (at === undefined ? '-' : span(systemClock.now() - at));

/** A moment for people and scripts; undefined stays so. */
export const moment = (at: number | undefined): string | undefined =>
  at === undefined ? undefined : new Date(at).toISOString();

/** `1 message`, `2 messages`. */
export const many = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

/** A line that is written over and over, on a terminal's stderr only. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
