import type { MessageLock } from '../message.js';
import type { TaskDefinition, UniquePolicy } from '../task-definition.js';
import { DEFAULT_REST } from './task-settings.js';

/** How long a producer keeps a key while it publishes, ms. Whoever dies in between blocks the key no longer than this. */
export const PUBLISH_WINDOW = 5_000;

/** What holds where a declaration is silent, or where there is none (a message of an unknown task). */
export const DEFAULT_POLICY: UniquePolicy = { onDuplicate: 'requeue', ttl: 600_000, lease: 15_000 };

/** A task name may hold the separator; two tasks must not meet in one record. */
const part = (task: string): string => (/[:%]/.test(task) ? task.replace(/%/g, '%25').replace(/:/g, '%3A') : task);

/** The names of a namespace's records begin so. */
export const recordPrefix = (namespace: string): string => `${namespace}:lock:`;

/** The name of a key's record: one Redis key, so one slot of a cluster. */
export const recordName = (namespace: string, task: string, key: string): string =>
  `${recordPrefix(namespace)}${part(task)}:${key}`;

/** The record of a run that has no key: under its own id. */
export const ownRecordName = (namespace: string, task: string, id: string): string =>
  recordName(namespace, task, `id:${id}`);

/** Its body goes on without the delivery that brought it: only a record can tell others that it runs. */
export const survives = (definition: TaskDefinition | undefined): boolean =>
  definition?.long !== undefined || definition?.onConnectionLoss === 'finish';

/** Task and key of a record's name, without its prefix. */
export function parseRecord(rest: string): { readonly task: string; readonly key: string } {
  const colon = rest.indexOf(':');
  const task = rest.slice(0, colon).replaceAll('%3A', ':').replaceAll('%25', '%');
  return { task, key: rest.slice(colon + 1) };
}

/** The policy by which a worker treats the key: `@ShouldCompute`'s if there is one, else that of `@Task({ unique })`. */
export const workerPolicy = (definition: TaskDefinition | undefined): UniquePolicy =>
  definition?.shouldCompute ?? definition?.unique ?? DEFAULT_POLICY;

/**
 * How long a run that gives no sign of life keeps its record, ms. For one under its own id only its stand-in waits, so
 * that it may outlast a Redis that is away for as long.
 */
export function leaseOf(definition: TaskDefinition | undefined): number {
  const { lease } = workerPolicy(definition);
  if (definition === undefined || definition.key !== undefined || definition.onConnectionLoss === 'finish')
    return lease;
  return Math.max(lease, definition.long ?? DEFAULT_REST);
}

/** Either side keeps the newest arguments for the key's next run. */
export const coalesces = (definition: TaskDefinition | undefined): boolean =>
  definition?.unique?.onDuplicate === 'coalesce' || definition?.shouldCompute?.onDuplicate === 'coalesce';

/** The lock of a message that a foreign producer sent without one. Throws `KeyError`. */
export function lockOf(definition: TaskDefinition, args: readonly unknown[]): MessageLock | undefined {
  if (definition.key === undefined) return undefined;
  return { key: definition.key(args), mode: definition.unique === undefined ? 'worker' : 'enqueue', fence: undefined };
}
