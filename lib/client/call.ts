import type { Clock } from '../clock.js';
import { ConfigError, PayloadError, toError, type Violation } from '../errors.js';
import { toJson } from '../json.js';
import type { Headers, TaskMessage } from '../message.js';
import { wrong } from '../options.js';
import { checkKey, type KeyValue } from '../declarations/key-value.js';
import { pack } from '../declarations/payload.js';
import { currentOrigin } from '../task-context.js';
import { ABORT_GRACE, type TaskDefinition, type UniquePolicy } from '../task-definition.js';
import { offerOf } from './offer.js';

/** Settings of one enqueue, checked. */
export interface EnqueueSettings {
  /** @default a fresh UUID */
  readonly id?: string | undefined;
  /** Instead of what the task's template gives. */
  readonly key?: KeyValue | undefined;
  readonly headers?: Headers | undefined;
  /** Epoch ms before which the task may not run. */
  readonly due?: number | undefined;
  /** Epoch ms after which the message is dropped. */
  readonly expires?: number | undefined;
  /** @default the task's */
  readonly queue?: string | undefined;
  /** @default the task's */
  readonly priority?: number | undefined;
  /** Inside a transaction, wait for its commit. @default as the task says; true for one that is sent by name */
  readonly afterCommit?: boolean | undefined;
}

/** Settings of a task that is sent by name. */
export interface SendSettings extends Omit<EnqueueSettings, 'key'> {
  readonly queue: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly timeLimit: TaskMessage['timeLimit'];
}

/** A checked call, on its way to becoming a message. */
export interface Call {
  /** Its name on the wire. */
  readonly task: string;
  readonly queue: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly id: string;
  readonly key: string | undefined;
  /** Set when the producer decides on duplicates of the key. */
  readonly unique: UniquePolicy | undefined;
  /** Epoch ms. */
  readonly due: number | undefined;
  /** Epoch ms. */
  readonly expires: number | undefined;
  readonly priority: number | undefined;
  readonly timeLimit: TaskMessage['timeLimit'];
  readonly headers: Headers;
  /** Of a call from inside a run, the task that it all began with. */
  readonly rootId: string | undefined;
  /** Of a call from inside a run, that run's task. */
  readonly parentId: string | undefined;
  /** JSON text of the arguments, to be handed to a holder; undefined without `coalesce`. */
  readonly offer: string | undefined;
  /** Waits for the commit of the transaction that it is made in. */
  readonly afterCommit: boolean;
  /** Sent by name: a queue that the app does not know belongs to somebody else, and is used as it is. */
  readonly byName: boolean;
}

const NONE: Headers = Object.freeze({});
const NO_KWARGS = Object.freeze({});

function keyOf(definition: TaskDefinition, args: readonly unknown[], key: KeyValue | undefined): string | undefined {
  if (key === undefined) return definition.key?.(args);
  if (definition.key !== undefined) return checkKey(key, definition.name);
  const text = 'is not unique, so it takes no key; give its @Task a unique, or its method a @ShouldCompute';
  throw new ConfigError(`${definition.name} ${text}`, { task: definition.name, option: 'key' });
}

/** A call's own `expires`, else its task's, counted from now. */
function expiryOf({ name, expires }: TaskDefinition, settings: EnqueueSettings, now: number): number | undefined {
  if (settings.expires !== undefined || expires === undefined) return settings.expires;
  if (settings.due === undefined || settings.due < now + expires) return now + expires;
  const text = 'expires before it may run, by the expires of its @Task; give the call an expires of its own';
  throw new ConfigError(`${name} ${text}`, {
    task: name,
    option: 'expires',
    due: settings.due,
    expires: now + expires,
  });
}

/** Only a thread is ended when its body goes on. */
function limitOf({ timeLimit: soft, thread }: TaskDefinition): TaskMessage['timeLimit'] {
  return soft === undefined ? undefined : { soft, hard: thread ? soft + ABORT_GRACE : undefined };
}

/**
 * A call of a declared task; asks nobody and publishes nothing.
 * @throws KeyError, PayloadError, ConfigError
 */
export function prepare(
  clock: Clock,
  definition: TaskDefinition,
  args: readonly unknown[],
  settings: EnqueueSettings = {},
): Call {
  // The key first: of `null` where an id belongs, that it makes no key says more than that it is no payload.
  const key = keyOf(definition, args, settings.key);
  const packed = pack(definition, args);
  const origin = currentOrigin();
  return {
    task: definition.name,
    queue: settings.queue ?? definition.queue,
    args: packed,
    kwargs: NO_KWARGS,
    id: settings.id ?? clock.uuid(),
    key,
    unique: key === undefined ? undefined : definition.unique,
    due: settings.due,
    expires: expiryOf(definition, settings, clock.now()),
    priority: settings.priority ?? definition.priority,
    timeLimit: limitOf(definition),
    headers: settings.headers ?? NONE,
    rootId: origin?.rootId,
    parentId: origin?.parentId,
    offer: offerOf(definition, packed),
    afterCommit: settings.afterCommit ?? definition.afterCommit,
    byName: false,
  };
}

/** `prepare` of many calls; an error in a call's place is why it cannot be made. */
export function prepareAll(
  clock: Clock,
  definition: TaskDefinition,
  argsList: readonly (readonly unknown[])[],
  settings: EnqueueSettings,
): (Call | Error)[] {
  // Not by its own `map`, which leaves holes as they are.
  return Array.from(argsList, (args, place) => {
    try {
      if (!Array.isArray(args)) throw wrong(`enqueueMany: [${place}]`, args, 'an array of arguments, such as [42]');
      return prepare(clock, definition, args, settings);
    } catch (thrown) {
      return toError(thrown);
    }
  });
}

/** A call of a task by its name alone. @throws PayloadError */
export function prepareNamed(clock: Clock, task: string, { args, kwargs, ...settings }: SendSettings): Call {
  const violations: Violation[] = [];
  const packed = { args: toJson(args, 'args', violations), kwargs: toJson(kwargs, 'kwargs', violations) };
  const [first] = violations;
  if (first !== undefined) {
    throw new PayloadError(`${task}: ${first.path} ${first.message}`, violations, { task });
  }
  const origin = currentOrigin();
  return {
    task,
    queue: settings.queue,
    args: packed.args as unknown[],
    kwargs: packed.kwargs as Record<string, unknown>,
    id: settings.id ?? clock.uuid(),
    key: undefined,
    unique: undefined,
    due: settings.due,
    expires: settings.expires,
    priority: settings.priority,
    timeLimit: settings.timeLimit,
    headers: settings.headers ?? NONE,
    rootId: origin?.rootId,
    parentId: origin?.parentId,
    offer: undefined,
    afterCommit: settings.afterCommit ?? true,
    byName: true,
  };
}
