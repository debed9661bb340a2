import type { Violation } from './errors.js';

/** JSON itself knows no depth limit, but what reads it recurses. */
const MAX_DEPTH = 500;

/** Objects that `JSON.stringify` would turn into `{}` or worse, without a word. */
const OPAQUE: readonly (new (...args: never[]) => object)[] = [
  Map,
  Set,
  WeakMap,
  WeakSet,
  Promise,
  RegExp,
  Error,
  ArrayBuffer,
  DataView,
  Object.getPrototypeOf(Uint8Array) as new () => object,
  Number,
  String,
  Boolean,
];

/** `.name`, `[0]` or `["odd name"]`: one step of a path into a value. */
export const step = (key: string | number): string => {
  if (typeof key === 'number') return `[${key}]`;
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
};

/** What is wrong with an object that is neither plain, nor an array, nor an instance with public fields. */
function opaque(value: object): string | undefined {
  const kind = OPAQUE.find((one) => value instanceof one);
  if (kind === undefined) return undefined;
  return kind === Promise ? 'is a promise; await it first' : `is a ${value.constructor.name}, which JSON cannot carry`;
}

const hasToJson = (value: object): value is { toJSON(key: string): unknown } =>
  'toJSON' in value && typeof value.toJSON === 'function';

/** Walks one value. The path is kept as steps, and put together only for a violation. */
class Copier {
  readonly #root: string;
  readonly #violations: Violation[];
  readonly #steps: (string | number)[] = [];
  readonly #ancestors: object[] = [];

  constructor(root: string, violations: Violation[]) {
    this.#root = root;
    this.#violations = violations;
  }

  copy(value: unknown): unknown {
    switch (typeof value) {
      case 'string':
      case 'boolean':
      case 'undefined':
        return value;
      case 'number':
        return Number.isFinite(value) ? value : this.#refuse(`is ${value}, which JSON cannot carry`);
      case 'object':
        return value === null ? null : this.#object(value);
      default:
        return this.#refuse(`is a ${typeof value}, which JSON cannot carry`);
    }
  }

  #refuse(message: string): undefined {
    this.#violations.push({ path: this.#root + this.#steps.map(step).join(''), message });
  }

  #object(value: object): unknown {
    if (value instanceof Date)
      return Number.isNaN(value.getTime()) ? this.#refuse('is an invalid date') : value.toISOString();
    if (this.#ancestors.includes(value)) return this.#refuse('contains itself (a cycle)');
    if (this.#ancestors.length >= MAX_DEPTH) return this.#refuse(`is nested deeper than ${MAX_DEPTH} levels`);
    this.#ancestors.push(value);
    const copy = this.#members(value);
    this.#ancestors.pop();
    return copy;
  }

  #members(value: object): unknown {
    if (hasToJson(value)) return this.copy(value.toJSON(String(this.#steps.at(-1) ?? '')));
    if (Array.isArray(value)) return Array.from(value as unknown[], (item, i) => this.#member(i, item) ?? null);
    const flaw = opaque(value);
    return flaw === undefined ? this.#fields(value) : this.#refuse(flaw);
  }

  #fields(value: object): object {
    const copy: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(value)) {
      const member = this.#member(key, field);
      if (member === undefined) continue;
      // Assigned, this one name would set the prototype.
      if (key === '__proto__')
        Object.defineProperty(copy, key, { value: member, enumerable: true, configurable: true, writable: true });
      else copy[key] = member;
    }
    return copy;
  }

  #member(key: string | number, value: unknown): unknown {
    this.#steps.push(key);
    const copy = this.copy(value);
    this.#steps.pop();
    return copy;
  }
}

/**
 * A copy of a value as JSON carries it: dates as ISO strings, `toJSON` heeded, undefined fields left out, undefined in an
 * array turned into null. What JSON would drop or bend silently is added to `violations`, with its path below `root`.
 */
export function toJson(value: unknown, root: string, violations: Violation[]): unknown {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return value;
  return new Copier(root, violations).copy(value);
}

/**
 * The type of a value that has been through JSON: what `receipt.result()` gives. A `Date` is a string, undefined (and
 * void) is null, methods are gone; what JSON cannot carry, such as a bigint, is `never`.
 */
export type Json<T> = unknown extends T
  ? T
  : T extends string | number | boolean | null
    ? T
    : T extends void
      ? null
      : T extends { toJSON(...args: never[]): infer R }
        ? Json<R>
        : T extends readonly unknown[]
          ? { [I in keyof T]: Json<T[I]> }
          : T extends Uncarried
            ? never
            : JsonObject<T>;

type Method = (...args: never[]) => unknown;
type Uncarried = bigint | symbol | Method | ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>;
/** Optional fields apart: with `exactOptionalPropertyTypes` they would turn into fields that may be undefined. */
type JsonObject<T> = Flat<
  { [K in keyof T as T extends Record<K, T[K]> ? Field<T, K> : never]: JsonField<T[K]> } & {
    [K in keyof T as T extends Record<K, T[K]> ? never : Field<T, K>]?: Json<Exclude<T[K], undefined>>;
  }
>;
type Field<T, K extends keyof T> = Exclude<T[K], undefined> extends Method ? never : Exclude<K, symbol>;
/** A field that is undefined is left out. */
type JsonField<T> = T extends undefined ? undefined : Json<T>;
type Flat<T> = { [K in keyof T]: T[K] };
