import ms from 'ms';
import { wrong } from './options.js';

/** Milliseconds, or a string such as `'10m'` or `'1.5s'` by the `ms` package. */
export type Duration = number | string;

/** `ms` throws for an empty or an overlong string and gives undefined or NaN for other nonsense. */
function parse(text: string): number {
  return text === '' || text.length > 100 ? Number.NaN : ms(text as ms.StringValue);
}

/**
 * A duration in whole milliseconds. `what` names the option in the error's text, `least` is the smallest that is taken.
 *
 * @throws ConfigError for anything that is no duration, is below `least`, or is beyond what a number counts exactly.
 */
export function duration(value: unknown, what: string, least = 0): number {
  const parsed = typeof value === 'string' ? parse(value) : value;
  const whole = typeof parsed === 'number' ? Math.round(parsed) : Number.NaN;
  if (Number.isSafeInteger(whole) && whole >= least) return whole;
  const bound = least === 0 ? '' : ` of at least ${least} ms`;
  throw wrong(what, value, `a duration${bound}: milliseconds, or a string such as '500ms', '15s', '10m', '2h'`);
}
