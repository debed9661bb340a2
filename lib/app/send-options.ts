import { commonSettings, type CallOptions } from './call-options.js';
import type { SendSettings } from '../client/call.js';
import type { Registry } from '../declarations/registry.js';
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
}

const KNOWN = [
  ...(['args', 'kwargs', 'queue', 'headers', 'id', 'delay', 'at', 'expires'] as const),
  ...(['priority', 'afterCommit'] as const),
];

/** Checks what `app.send` was given. @throws ConfigError, PayloadError */
export function sendSettings(options: SendOptions, registry: Registry, name: string, now: number): SendSettings {
  const what = `app.send('${name}')`;
  const { args = [], kwargs = {}, ...given } = checkOptions(options, KNOWN, what);
  if (!Array.isArray(args)) throw wrong(`args of ${what}`, args, 'an array');
  if (typeof kwargs !== 'object' || kwargs === null || Array.isArray(kwargs)) {
    throw wrong(`kwargs of ${what}`, kwargs, 'an object');
  }
  const { queue = registry.find(name)?.queue, ...settings } = commonSettings(given, what, now);
  if (queue !== undefined) return { ...settings, queue, args, kwargs: kwargs as Record<string, unknown> };
  const text = `${what} needs a queue: no task of this app has that name, so nobody knows who consumes it`;
  throw new ConfigError(`${text}; write { queue: 'celery' }, say`, { option: 'queue', task: name });
}
