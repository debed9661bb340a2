import { toError } from '../errors.js';
import { attempt, type Soon } from '../soon.js';
import { Entry, runInScope, type TaskContext } from '../task-context.js';
import type { TaskDefinition } from '../task-definition.js';
import type { Ending } from './run.js';

/** Where the services' instances come from. */
export interface Instances {
  of(definition: TaskDefinition): object | Promise<object>;
}

/** What a body is called with, on whatever thread. */
export interface BodyParts {
  readonly instances: Instances;
  /** The app of the run, for `tasks(Class)` inside the body. */
  readonly app: object;
}

/** Calls a task's method on its instance, in its context. What the body threw is its ending: nothing rejects or throws. */
export function callBody(
  { instances, app }: BodyParts,
  definition: TaskDefinition,
  args: readonly unknown[],
  context: TaskContext,
): Soon<Ending> {
  const entry = new Entry(definition.service, definition.method);
  const failed = (thrown: unknown): Ending => {
    entry.close();
    return { error: toError(thrown), value: undefined };
  };
  const ended = (value: unknown): Ending => {
    entry.close();
    return { error: undefined, value };
  };
  const call = (service: object): Soon<unknown> => {
    const method = Reflect.get(service, definition.method) as (...args: unknown[]) => unknown;
    const value = runInScope({ context, app, entry }, Reflect.apply, method, service, args);
    return isThenable(value) ? Promise.resolve(value) : value;
  };
  return attempt(
    () => instances.of(definition),
    (service) => attempt(() => call(service), ended, failed),
    failed,
  );
}

/** Whatever `await` would wait for. */
const isThenable = (value: unknown): boolean =>
  (typeof value === 'object' || typeof value === 'function') &&
  value !== null &&
  typeof (value as { then?: unknown }).then === 'function';
