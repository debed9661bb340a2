import { commonSettings, type CallOptions } from './call-options.js';
import type { SendSettings } from '../client/call.js';
import type { Registry } from '../declarations/registry.js';
import { duration } from '../duration.js';
import { ConfigError } from '../errors.js';
import { checkOptions, wrong } from '../options.js';

/** Options of `app.send`. */
export interface SendOptions extends Omit<CallOptions, 'key'> {
  /** Positional arguments. @default [] */
  readonly args?: readonly unknown[];
  /** Arguments by parameter name. @default {} */
  readonly kwargs?: Readonly<Record<string, unknown>>;
  /**
   * Where a worker takes it from. A queue that the app does not know is somebody else's: it must exist, and is used as
   * it is. @default the queue of this app's task of that name
   */
  readonly queue?: string;
  /**
   * How long a Celery worker lets it run, ms or strings: until its body is told (`SoftTimeLimitExceeded`), and until its
   * process is ended. One value is the first of them. A task of this app has its limit in its `@Task`. @default the worker's
   */
  readonly timeLimit?: number | string | SendTimeLimit;
}

/** Celery's two time limits, ms or strings. */
export interface SendTimeLimit {
  readonly soft?: number | string;
  readonly hard?: number | string;
}

const KNOWN = [
  ...(['args', 'kwargs', 'queue', 'headers', 'id', 'delay', 'at', 'expires'] as const),
  ...(['priority', 'afterCommit', 'timeLimit'] as const),
];

/** Checks what `app.send` was given. @throws ConfigError, PayloadError */
export function sendSettings(options: SendOptions, registry: Registry, name: string, now: number): SendSettings {
  const what = `app.send('${name}')`;
  const { args = [], kwargs = {}, timeLimit: limit, ...given } = checkOptions(options, KNOWN, what);
  if (!Array.isArray(args)) throw wrong(`args of ${what}`, args, 'an array');
  if (typeof kwargs !== 'object' || kwargs === null || Array.isArray(kwargs)) {
    throw wrong(`kwargs of ${what}`, kwargs, 'an object');
  }
  const own = registry.find(name);
  const { queue = own?.queue, ...settings } = commonSettings(given, what, now);
  const timeLimit = limit === undefined ? undefined : timeLimitOf(limit, what, own !== undefined);
  if (queue !== undefined) return { ...settings, queue, args, kwargs: kwargs as Record<string, unknown>, timeLimit };
  const text = `${what} needs a queue: no task of this app has that name, so nobody knows who consumes it`;
  throw new ConfigError(`${text}; write { queue: 'celery' }, say`, { option: 'queue', task: name });
}

/** ms; a shorter limit may hit the processes of a Celery worker between two tasks, and they hang. */
const LEAST_LIMIT = 1_000;

function timeLimitOf(value: unknown, what: string, own: boolean): SendSettings['timeLimit'] {
  const option = `timeLimit of ${what}`;
  if (own) throw new ConfigError(`${option}: a task of this app has its limit in its @Task`, { option: 'timeLimit' });
  if (typeof value !== 'object' || value === null)
    return { soft: duration(value, option, LEAST_LIMIT), hard: undefined };
  const { soft, hard } = checkOptions(value, ['soft', 'hard'], option) as SendTimeLimit;
  const limits = {
    soft: soft === undefined ? undefined : duration(soft, `soft of ${option}`, LEAST_LIMIT),
    hard: hard === undefined ? undefined : duration(hard, `hard of ${option}`, LEAST_LIMIT),
  };
  if (limits.soft === undefined || limits.hard === undefined || limits.soft <= limits.hard) return limits;
  throw new ConfigError(`${option}: hard comes before soft`, { option: 'timeLimit', ...limits });
}
