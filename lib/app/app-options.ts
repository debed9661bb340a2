import { duration } from '../duration.js';
import { ConfigError } from '../errors.js';
import type { Guard } from '../guard.js';
import { checkFlag, checkInteger, checkOptions, checkWord, wrong } from '../options.js';
import type { ResultBackend } from '../result-backend.js';
import { checkQueue } from '../declarations/task-settings.js';
import type { Class, TaskDefinition } from '../task-definition.js';
import type { Transport } from '../transport.js';

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
  /**
   * Somebody else declares it (Celery, say): it must exist, and is used as it is. Only `<queue>.dead` is ours, a classic
   * queue, where a task of this app is on it or a worker of it consumes it. @default false
   */
  readonly passive?: boolean;
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
  /**
   * Whether `receipt.result()` works, and where results are kept, for a day: `true` where the locks are, or a Redis URL, an
   * ioredis client, a `ResultBackend`. @default false
   */
  readonly results?: boolean | string | RedisClient | ResultBackend;
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
  readonly results: AppOptions['results'];
  readonly queues: Readonly<Record<string, QueueOptions>>;
  readonly namespace: string;
  /** ms */
  readonly publishTimeout: number;
}

const KNOWN = ['broker', 'locks', 'services', 'container', 'results', 'queues', 'namespace', 'publishTimeout'] as const;

/** Checks what `createApp` was given. @throws ConfigError */
export function appSettings(options: AppOptions): AppSettings {
  checkOptions(options, KNOWN, 'createApp');
  const { broker, locks, services, container, results, queues = {}, namespace = 'solotask' } = options;
  if (container !== undefined && typeof container.get !== 'function') {
    throw wrong('container of createApp', container, 'an object with get(Class)');
  }
  return {
    broker: checkBroker(broker),
    locks,
    services: servicesOf(services),
    container,
    results: checkResults(results),
    queues: checkQueues(queues),
    namespace: checkNamespace(namespace),
    publishTimeout: duration(options.publishTimeout ?? '10s', 'publishTimeout of createApp', 100),
  };
}

function servicesOf(services: AppOptions['services'] | undefined): () => Services {
  if (Array.isArray(services)) return () => services;
  // A class is a function too: somebody forgot the brackets.
  if (typeof services === 'function' && services.prototype === undefined) return services as () => Services;
  const right = 'an array of classes or instances, such as [LoanService], or an arrow function that gives one';
  throw wrong('services of createApp', services, right);
}

/** What its text says is checked when it is opened: a runner may give one that comes later. */
function checkBroker(broker: AppOptions['broker']): AppOptions['broker'] {
  if (typeof broker !== 'object' || (broker !== null && 'publish' in broker)) return broker;
  // It is not shown: it may hold a password.
  throw new ConfigError(
    "broker of createApp is an object; it takes an amqp:// or amqps:// URL, a Transport, or 'memory:'",
    {
      option: 'broker',
    },
  );
}

function checkResults(results: unknown): AppOptions['results'] {
  if (results === undefined || typeof results === 'boolean') return results;
  if (typeof results === 'string' && /^rediss?:\/\//.test(results)) return results;
  if (typeof results === 'object' && results !== null && ('duplicate' in results || 'store' in results)) {
    return results as RedisClient | ResultBackend;
  }
  // It is not shown: it may hold a password.
  const given = typeof results === 'string' ? 'a text that is no Redis URL' : `of type ${kindOf(results)}`;
  const right = 'true (kept where the locks are), a redis:// or rediss:// URL, an ioredis client or a ResultBackend';
  throw new ConfigError(`results of createApp is ${given}; it takes ${right}`, { option: 'results' });
}

const kindOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value);

function checkNamespace(namespace: unknown): string {
  if (typeof namespace === 'string' && /^[\w.-]{1,64}$/.test(namespace)) return namespace;
  throw wrong('namespace of createApp', namespace, "1 to 64 letters, digits, '_', '-' or '.'");
}

function checkQueues(queues: Readonly<Record<string, QueueOptions>>): Readonly<Record<string, QueueOptions>> {
  for (const [name, options] of Object.entries(queues)) {
    checkQueue(name, 'a queue of createApp');
    const given = checkOptions(options, ['type', 'maxPriority', 'passive'], `queue '${name}'`);
    const { type = 'quorum', maxPriority } = given;
    if (checkFlag(given.passive, `passive of queue '${name}'`, false)) refuseArguments(name, given);
    checkWord(type, `type of queue '${name}'`, ['quorum', 'classic']);
    if (maxPriority === undefined) continue;
    checkInteger(maxPriority, `maxPriority of queue '${name}'`, 1, 9);
    if (type !== 'classic')
      throw wrong(`maxPriority of queue '${name}'`, maxPriority, "effect with type 'classic' only");
  }
  return queues;
}

/** Who does not declare a queue has no say in what it is. */
function refuseArguments(name: string, { type, maxPriority }: Partial<Record<keyof QueueOptions, unknown>>): void {
  if (type === undefined && maxPriority === undefined) return;
  throw new ConfigError(
    `queue '${name}' is passive, so its type and maxPriority are what its owner declared: leave them out`,
    {
      option: 'passive',
      queue: name,
    },
  );
}

/** Tasks whose priority says nothing, for their queue has none, a sentence each. What a passive queue has nobody knows. */
export function idlePriorities(
  definitions: readonly TaskDefinition[],
  queues: Readonly<Record<string, QueueOptions>>,
): readonly string[] {
  return definitions
    .filter(({ priority }) => priority !== undefined && priority > 0)
    .filter(({ queue }) => queues[queue]?.passive !== true && queues[queue]?.maxPriority === undefined)
    .map(
      ({ name, queue, priority }) =>
        `${name}: its priority (${priority}) needs a queue that has priorities, and '${queue}' is not declared as one: ` +
        `queues: { '${queue}': { type: 'classic', maxPriority: 9 } }, under a new name if it exists already ` +
        `(RabbitMQ before 4 ignores it on a quorum queue; from 4 on it only tells 5 to 9 from the rest)`,
    );
}
