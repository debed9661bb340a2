import { KeyError } from '../errors.js';
import { show } from '../options.js';

/** What a key function may return. */
export type KeyValue = string | number | bigint;
/** Computes a unique key from a task's arguments. */
export type KeyFunction<A extends unknown[] = never[]> = (...args: A) => KeyValue;
/** A key as it is declared: a template such as `'loan:<loanId>'`, or a function. */
export type KeySource = string | KeyFunction;

/**
 * The longest key, in UTF-8 bytes. A key is part of a Redis key, of a message header and of log lines, and every lock
 * keeps it: what is longer belongs into a hash, which a key function can compute.
 */
export const MAX_KEY_BYTES = 512;

/** The kind of value an error names; never the value's content, which may be large or secret. */
export function kindOf(value: unknown): string {
  if (value === '') return 'an empty string';
  if (value === null || value === undefined || typeof value === 'number') return String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'an invalid date' : 'a date';
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Promise) return 'a promise';
  return typeof value === 'object' ? `an object (${value.constructor?.name ?? 'Object'})` : `a ${typeof value}`;
}

/** The error for arguments that give no key. */
export const refused = (where: string, placeholder: string, what: string): KeyError =>
  new KeyError(`${where}: ${what}`, { task: where, placeholder });

/** The text of a value that may be part of a key; undefined for any other. */
export function textOf(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return value;
    case 'number':
      return Number.isFinite(value) ? String(value) : undefined;
    case 'bigint':
    case 'boolean':
      return String(value);
    default:
      return value instanceof Date && !Number.isNaN(value.getTime()) ? value.toISOString() : undefined;
  }
}

const percent = (character: string): string =>
  Buffer.from(character).reduce((text, byte) => `${text}%${byte.toString(16).toUpperCase().padStart(2, '0')}`, '');

/**
 * Percent-encodes what would let two parts run into each other, and nothing else: `%` itself and the character that ends
 * this value in the template. So a value ends at the first such character, and no two lists of values share a key, while
 * usual values (and the last one, whatever it holds but `%`) stay readable.
 */
export function escapePart(text: string, stop: string | undefined): string {
  const plain = !text.includes('%') && (stop === undefined || !text.includes(stop));
  if (plain) return text;
  const escaped = text.replaceAll('%', '%25');
  return stop === undefined ? escaped : escaped.replaceAll(stop, percent(stop));
}

/**
 * A finished key, checked: not empty, well-formed Unicode, at most `MAX_KEY_BYTES`. Also for keys that callers bring
 * themselves; a number or bigint becomes its text.
 *
 * @throws KeyError naming `where`, the task or the place the key comes from.
 */
export function checkKey(key: unknown, where: string): string {
  const text = typeof key === 'boolean' || key instanceof Date ? undefined : textOf(key);
  if (text === undefined || text === '') throw refused(where, '', `the key is ${kindOf(key)}; it must be a string`);
  // A lone surrogate has no UTF-8 form: two such keys would become one in Redis.
  if (/\p{Cs}/u.test(text)) throw refused(where, '', `the key is no well-formed Unicode: ${show(text)}`);
  const bytes = text.length * 3 <= MAX_KEY_BYTES ? 0 : Buffer.byteLength(text);
  if (bytes <= MAX_KEY_BYTES) return text;
  throw refused(where, '', `the key has ${bytes} bytes, at most ${MAX_KEY_BYTES} are taken; hash it in a key function`);
}

/** The key as people read it: the template as written. */
export const keyText = (source: KeySource): string => (typeof source === 'string' ? source : '(function)');
