import { commonSettings, type CallOptions } from './call-options.js';
import type { SendSettings } from '../client/call.js';
import type { Registry } from '../declarations/registry.js';
import { ConfigError } from '../errors.js';
import { checkOptions, notYet, wrong } from '../options.js';

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

/** What `app.send` must know of its app. */
export interface Sender {
  readonly registry: Registry;
  readonly queues: Readonly<Record<string, unknown>>;
}

const KNOWN = [
  ...(['args', 'kwargs', 'queue', 'headers', 'id', 'delay', 'at', 'expires'] as const),
  ...(['priority', 'afterCommit'] as const),
];

/** Checks what `app.send` was given. @throws ConfigError, PayloadError, NotYetError */
export function sendSettings(options: SendOptions, app: Sender, name: string, now: number): SendSettings {
  const what = `app.send('${name}')`;
  const { args = [], kwargs = {}, ...given } = checkOptions(options, KNOWN, what);
  if (!Array.isArray(args)) throw wrong(`args of ${what}`, args, 'an array');
  if (typeof kwargs !== 'object' || kwargs === null || Array.isArray(kwargs)) {
    throw wrong(`kwargs of ${what}`, kwargs, 'an object');
  }
  const { queue = app.registry.find(name)?.queue, ...settings } = commonSettings(given, what, now);
  if (queue !== undefined) refuseLostExpiry(queue, settings, app);
  if (queue !== undefined) return { ...settings, queue, args, kwargs: kwargs as Record<string, unknown> };
  const text = `${what} needs a queue: no task of this app has that name, so nobody knows who consumes it`;
  throw new ConfigError(`${text}; write { queue: 'celery' }, say`, { option: 'queue', task: name });
}

/** The broker's own expiry, which a foreign consumer needs, does not outlast the delay queues. */
function refuseLostExpiry(queue: string, { due, expires }: Partial<SendSettings>, { registry, queues }: Sender): void {
  if (due === undefined || expires === undefined) return;
  if (Object.hasOwn(queues, queue) || registry.definitions.some((definition) => definition.queue === queue)) return;
  throw notYet(`expires together with delay or at, for a queue ('${queue}') that is not one of this app,`);
}
