import { duration } from './duration.js';
import { ConfigError, NotYetError } from './errors.js';
import type { Guard } from './guard.js';
import type { Class } from './task-definition.js';
import type { Transport } from './transport.js';

/** An ioredis client, as far as solotask cares: it is duplicated, the given one stays untouched. */
export interface RedisClient {
  duplicate(override?: object): unknown;
}

/** Gives the instance of a service class: a dependency injection container, or a few lines around one. */
export interface Container {
  get(service: Class): unknown;
}

/** How a queue is declared. */
export interface QueueOptions {
  /** @default 'quorum' */
  readonly type?: 'quorum' | 'classic';
  /** Classic queues only: the highest priority, 1–9. */
  readonly maxPriority?: number;
}

/** What `services` may list: classes and instances. */
export type Services = readonly (Class | object)[];

/** Options of `createApp`. */
export interface AppOptions {
  /** `'amqp(s)://…'`, `'memory:'` or a `Transport`. Undefined: AMQP_URL, when run by `task-worker`. */
  readonly broker?: string | Transport | undefined;
  /** A Redis URL, an ioredis client, `'memory:'` or a `Guard`. Undefined: REDIS_URL, when run by `task-worker`. */
  readonly locks?: string | readonly string[] | RedisClient | readonly RedisClient[] | Guard | undefined;
  /** The classes whose tasks this app knows, or instances; a function is called at first use (module cycles). */
  readonly services: Services | (() => Services);
  /** Where instances come from; asked once per class, at its first run. @default `new Class()` */
  readonly container?: Container;
  /** By queue name. @default every queue is a quorum queue */
  readonly queues?: Readonly<Record<string, QueueOptions>>;
  /** Prefix of Redis keys and of the broker's delay queues. @default 'solotask' */
  readonly namespace?: string;
  /** How long an enqueue may take until its outcome is known, ms or a string. @default '10s' */
  readonly publishTimeout?: number | string;
}

/** The options with their defaults, checked. */
export interface AppSettings {
  readonly broker: AppOptions['broker'];
  readonly locks: AppOptions['locks'];
  readonly services: () => Services;
  readonly container: Container | undefined;
  readonly queues: Readonly<Record<string, QueueOptions>>;
  readonly namespace: string;
  /** ms */
  readonly publishTimeout: number;
}

const KNOWN = ['broker', 'locks', 'services', 'container', 'results', 'queues', 'namespace', 'publishTimeout'];

/** Checks what `createApp` was given. @throws ConfigError, NotYetError */
export function appSettings(options: AppOptions): AppSettings {
  if (typeof options !== 'object' || options === null) throw wrong('createApp takes an object', 'services');
  for (const option of Object.keys(options)) {
    if (!KNOWN.includes(option)) throw wrong(`createApp has no option ${option}; known are: ${KNOWN.join(', ')}`, option);
  }
  if ('results' in options && options.results !== undefined && options.results !== false) {
    throw new NotYetError('the option results of createApp is not built yet: results are not kept', { option: 'results' });
  }
  const { services, container, queues = {}, namespace = 'solotask', publishTimeout = '10s' } = options;
  const timeout = duration(publishTimeout, 'publishTimeout of createApp');
  if (timeout < 100) throw wrong(`publishTimeout must be at least 100 ms: ${publishTimeout}`, 'publishTimeout');
  if (container !== undefined && typeof container.get !== 'function') {
    throw wrong('container must be an object with get(Class)', 'container');
  }
  return {
    broker: options.broker,
    locks: options.locks,
    services: servicesOf(services),
    container,
    queues: checkQueues(queues),
    namespace: checkNamespace(namespace),
    publishTimeout: timeout,
  };
}

const wrong = (text: string, option: string): ConfigError => new ConfigError(text, { option });

function servicesOf(services: AppOptions['services'] | undefined): () => Services {
  if (Array.isArray(services)) return () => services;
  // A class is a function too: somebody forgot the brackets.
  if (typeof services === 'function' && services.prototype === undefined) return services as () => Services;
  throw wrong('services must be an array of classes or instances (services: [LoanService]), or a function that gives one', 'services');
}

function checkNamespace(namespace: string): string {
  if (/^[\w.-]{1,64}$/.test(namespace)) return namespace;
  throw wrong(`namespace must be 1 to 64 letters, digits, '_', '-' or '.': ${namespace}`, 'namespace');
}

function checkQueues(queues: Readonly<Record<string, QueueOptions>>): Readonly<Record<string, QueueOptions>> {
  for (const [name, options] of Object.entries(queues)) {
    const { type = 'quorum', maxPriority } = options;
    const stranger = Object.keys(options).find((option) => option !== 'type' && option !== 'maxPriority');
    if (stranger !== undefined) throw wrong(`queue ${name} has no option ${stranger}; known are: type, maxPriority`, 'queues');
    if (type !== 'quorum' && type !== 'classic') throw wrong(`queue ${name}: type must be 'quorum' or 'classic'`, 'queues');
    if (maxPriority === undefined) continue;
    const whole = Number.isInteger(maxPriority) && maxPriority >= 1 && maxPriority <= 9;
    if (!whole) throw wrong(`queue ${name}: maxPriority must be a whole number from 1 to 9`, 'queues');
    if (type !== 'classic') throw wrong(`queue ${name}: priorities need type 'classic'`, 'queues');
  }
  return queues;
}
