import { duration } from '../duration.js';
import { checkOptions, notYet } from '../options.js';

/** Options of one enqueue. */
export interface CallOptions {
  /** Earliest start, from now: ms or a string such as `'5m'`. @default 0 */
  readonly delay?: number | string;
}

/** All but the first are refused until they are built: accepting and ignoring one would be worse. */
const KNOWN = ['delay', 'id', 'key', 'headers', 'at', 'expires', 'queue', 'priority', 'afterCommit'] as const;

/** Checks the options of one call. @throws ConfigError for an unknown or wrong one, NotYetError for one not built yet. */
export function callSettings(options: CallOptions = {}): { delay: number } {
  const { delay, ...others } = checkOptions(options, KNOWN, 'an enqueue');
  const asked = Object.entries(others).find(([, value]) => value !== undefined);
  if (asked !== undefined) throw notYet(`the option ${asked[0]} of an enqueue`);
  return { delay: delay === undefined ? 0 : duration(delay, 'delay of an enqueue') };
}
