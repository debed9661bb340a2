import { duration } from './duration.js';
import { ConfigError, NotYetError } from './errors.js';

/** Options of one enqueue. */
export interface CallOptions {
  /** Earliest start, from now: ms or a string such as `'5m'`. @default 0 */
  readonly delay?: number | string;
}

/** Documented, and refused until built: accepting and ignoring one would be worse. */
const NOT_YET = ['id', 'key', 'headers', 'at', 'expires', 'queue', 'priority', 'afterCommit'];

/** Checks the options of one call. @throws ConfigError for an unknown or wrong one, NotYetError for one not built yet. */
export function callSettings(options: CallOptions = {}): { delay: number } {
  for (const option of Object.keys(options)) {
    if (option === 'delay') continue;
    if (NOT_YET.includes(option)) throw new NotYetError(`the option ${option} of an enqueue is not built yet`, { option });
    throw new ConfigError(`an enqueue has no option ${option}; known is: delay`, { option });
  }
  return { delay: options.delay === undefined ? 0 : duration(options.delay, 'delay') };
}
