import type { Receipt } from '../client/receipt.js';
import type { Json } from '../json.js';

type Method = (...args: never[]) => unknown;

/** The methods of a service, each of which enqueues instead of running and gives a receipt. */
export type Stub<T> = {
  readonly [K in keyof T as T[K] extends Method ? K : never]: T[K] extends (...args: infer A) => infer R
    ? (...args: A) => Promise<Receipt<Json<Awaited<R>>>>
    : never;
};

/** The receipt of a service's method: its result is what the method returns. */
export type ReceiptOf<T, M extends keyof Stub<T>> = Stub<T>[M] extends (...args: never[]) => Promise<infer R>
  ? R
  : never;

/** A stub whose every method calls `enqueue` with its name. It is no promise, and shows nothing else of an object. */
export function makeStub<T extends object>(enqueue: (method: string, args: unknown[]) => Promise<Receipt>): Stub<T> {
  const methods = new Map<string, (...args: unknown[]) => Promise<Receipt>>();
  const methodOf = (name: string): ((...args: unknown[]) => Promise<Receipt>) => {
    const known = methods.get(name) ?? ((...args) => enqueue(name, args));
    methods.set(name, known);
    return known;
  };
  const get = (_: object, name: string | symbol): unknown =>
    typeof name === 'symbol' || name === 'then' ? undefined : methodOf(name);
  return new Proxy(Object.create(null) as object, { get }) as Stub<T>;
}
