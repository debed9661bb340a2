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

/** Resolves after `ms`, or as soon as `signal` aborts; never rejects. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const wake = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', wake);
      resolve();
    };
    const timer = clock.after(ms, wake);
    signal?.addEventListener('abort', wake, { once: true });
  });
}
