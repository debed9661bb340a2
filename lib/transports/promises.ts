import { type Clock, pause } from '../clock.js';

/** A promise with its ends, for what settles elsewhere. A rejection that nobody waits for is no unhandled one. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

/** A fresh one. (`Promise.withResolvers` comes with Node 22.) */
export function deferred<T>(): Deferred<T> {
  let ends: Pick<Deferred<T>, 'resolve' | 'reject'> | undefined;
  const promise = new Promise<T>((resolve, reject) => (ends = { resolve, reject }));
  promise.catch(() => {});
  return { promise, ...(ends as unknown as Pick<Deferred<T>, 'resolve' | 'reject'>) };
}

/** Waits until `promise` settles, `ms` at most, and says whether it did. Never rejects. */
export async function settled(clock: Clock, ms: number, promise: Promise<unknown>): Promise<boolean> {
  const done = new AbortController();
  const wake = (): void => done.abort();
  promise.then(wake, wake);
  await pause(clock, ms, done.signal);
  return done.signal.aborted;
}
