import { inspect } from 'node:util';
import { ConfigError } from './errors.js';
import { hint } from './nearest.js';

/** A value as an error's text shows it. */
export const show = (value: unknown): string =>
  inspect(value, { depth: 1, breakLength: Infinity, maxStringLength: 80 });

/** The error for a wrong value. `what` names the option and its place, `right` says what it takes. */
export const wrong = (what: string, value: unknown, right: string): ConfigError =>
  new ConfigError(`${what} is ${show(value)}; it takes ${right}`, { option: what, value: show(value) });

/**
 * An object of options whose names are all known.
 *
 * @throws ConfigError for anything else; it lists the known names and suggests the nearest.
 */
export function checkOptions<Name extends string>(
  value: unknown,
  known: readonly Name[],
  what: string,
): Partial<Record<Name, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(what, value, 'an object');
  for (const option of Object.keys(value)) {
    if ((known as readonly string[]).includes(option)) continue;
    throw new ConfigError(`${what} has no option '${option}'${hint(option, known)} (options: ${known.join(', ')})`, {
      option,
      known,
    });
  }
  return value;
}

/** `true` or `false`; `fallback` when left out. */
export function checkFlag(value: unknown, what: string, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean') throw wrong(what, value, 'true or false');
  return value;
}

/** A whole number within both bounds. */
export function checkInteger(value: unknown, what: string, least: number, most: number): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  throw wrong(what, value, `a whole number ${range}`);
}

/** One of a closed set of words. */
export function checkWord<Word extends string>(value: unknown, what: string, words: readonly Word[]): Word {
  const word = words.find((one) => one === value);
  if (word === undefined) throw wrong(what, value, `one of ${words.map((one) => `'${one}'`).join(', ')}`);
  return word;
}

/** A name that brokers and Redis carry: well-formed text without control characters, at most `most` UTF-8 bytes. */
export function checkName(value: unknown, what: string, most: number): string {
  if (typeof value !== 'string' || value.trim() === '') throw wrong(what, value, 'a name that is not empty');
  if (/[\p{Cc}\p{Cs}]/u.test(value)) throw wrong(what, value, 'a name without control characters');
  const bytes = Buffer.byteLength(value);
  if (bytes > most) throw wrong(what, value, `a name of at most ${most} bytes (this one has ${bytes})`);
  return value;
}
