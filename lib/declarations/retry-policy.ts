import { duration, type Duration } from '../duration.js';
import { checkFlag, checkInteger, checkOptions, wrong } from '../options.js';
import type { RetryPolicy } from '../task-definition.js';

/** How often a failed task runs again, and when. */
export interface RetryOptions {
  /**
   * Runs in all, the first included; `0` and `1` are one run.
   *
   * @default 3
   */
  readonly attempts?: number;
  /**
   * Before the second run.
   *
   * @default '1s'
   */
  readonly delay?: Duration;
  /**
   * Each further delay is this many times the one before; at least 1.
   *
   * @default 2
   */
  readonly factor?: number;
  /**
   * Upper bound of one delay.
   *
   * @default '5m', or `delay` when that is longer
   */
  readonly maxDelay?: Duration;
  /**
   * Draws each delay from its upper half.
   *
   * @default true
   */
  readonly jitter?: boolean;
}

const DEFAULTS: RetryPolicy = Object.freeze({ attempts: 3, delay: 1000, factor: 2, maxDelay: 300_000, jitter: true });
const NAMES = ['attempts', 'delay', 'factor', 'maxDelay', 'jitter'] as const;

const checkAttempts = (value: unknown, what: string): number =>
  Math.max(1, checkInteger(value, what, 0, Number.MAX_SAFE_INTEGER));

function checkFactor(value: unknown, what: string): number {
  if (typeof value === 'number' && value >= 1 && value < Infinity) return value;
  throw wrong(what, value, 'a number of at least 1');
}

function checkMaxDelay(value: unknown, delay: number, what: string): number {
  if (value === undefined) return Math.max(DEFAULTS.maxDelay, delay);
  const maxDelay = duration(value, what);
  if (maxDelay < delay) throw wrong(what, value, `a duration that is not below the delay (${delay} ms)`);
  return maxDelay;
}

/**
 * The `retry` option: an object, the number of attempts, or false for one run.
 *
 * @throws ConfigError for a wrong value or an unknown field.
 */
export function retryPolicy(value: unknown, what: string): RetryPolicy {
  if (value === undefined) return DEFAULTS;
  if (value === false) return Object.freeze({ ...DEFAULTS, attempts: 1 });
  if (typeof value === 'number') return Object.freeze({ ...DEFAULTS, attempts: checkAttempts(value, what) });
  if (typeof value !== 'object' || value === null)
    throw wrong(what, value, 'an object, a number of attempts, or false');
  const given = checkOptions(value, NAMES, what);
  const delay = given.delay === undefined ? DEFAULTS.delay : duration(given.delay, `${what}.delay`);
  return Object.freeze({
    attempts: checkAttempts(given.attempts ?? DEFAULTS.attempts, `${what}.attempts`),
    delay,
    factor: checkFactor(given.factor ?? DEFAULTS.factor, `${what}.factor`),
    maxDelay: checkMaxDelay(given.maxDelay, delay, `${what}.maxDelay`),
    jitter: checkFlag(given.jitter, `${what}.jitter`, DEFAULTS.jitter),
  });
}

/**
 * Whole milliseconds between the failure of run `attempt` (from 1) and the next run. `random` is in [0, 1); with jitter
 * it picks a place in the upper half of the exponential delay.
 */
export function backoff(policy: RetryPolicy, attempt: number, random: number): number {
  // Zero times an overflown factor would be NaN.
  if (policy.delay === 0) return 0;
  const full = Math.min(policy.maxDelay, policy.delay * policy.factor ** (attempt - 1));
  return Math.round(policy.jitter ? (full / 2) * (1 + random) : full);
}
