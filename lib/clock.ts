import { randomUUID } from 'node:crypto';

/** A timer that can be taken back. */
export interface Timer {
  cancel(): void;
}

/**
 * All time and randomness of the library. Nothing else in lib/ reads a clock, sets a timer or draws a random value, so
 * that a simulation can decide both.
 */
export interface Clock {
  /** Wall clock, epoch milliseconds; may jump. */
  now(): number;
  /** Milliseconds since some fixed point; never jumps. Leases are measured with it. */
  monotonic(): number;
  /** Calls `fire` once after `ms` milliseconds; does not keep the process alive when `idle` is set. */
  after(ms: number, fire: () => void, options?: { idle?: boolean }): Timer;
  /** A number in [0, 1). */
  random(): number;
  /** A fresh random UUID. */
  uuid(): string;
}

/** Node's longest timer, in ms; a longer one would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fire, options) {
    const timer = setTimeout(fire, Math.min(Math.max(ms, 0), LONGEST_TIMER));
    if (options?.idle === true) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  random: () => Math.random(),
  uuid: () => randomUUID(),
};

/** Who is to be told of a signal's abort: Node takes more than ten listeners of one signal for a leak, and prints so. */
const told = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `tell` when `signal` aborts, until the returned function is called. However many ask, the signal has one
 * listener. Not called for a signal that has aborted before.
 */
export function onAbort(signal: AbortSignal, tell: () => void): () => void {
  const all = told.get(signal) ?? listened(signal);
  all.add(tell);
  return () => void all.delete(tell);
}

function listened(signal: AbortSignal): Set<() => void> {
  const all = new Set<() => void>();
  told.set(signal, all);
  signal.addEventListener('abort', () => all.forEach((tell) => tell()), { once: true });
  return all;
}

/** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = (): void => {
      timer.cancel();
      forget?.();
      resolve();
    };
    const timer = clock.after(ms, wake);
    const forget = signal && onAbort(signal, wake);
  });
}
