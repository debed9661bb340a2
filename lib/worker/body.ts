import { toError } from '../errors.js';
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

/** Calls a task's method on its instance, in its context. Never rejects: what the body threw is its ending. */
export async function callBody(
  { instances, app }: BodyParts,
  definition: TaskDefinition,
  args: readonly unknown[],
  context: TaskContext,
): Promise<Ending> {
  try {
    const service = await instances.of(definition);
    const method = Reflect.get(service, definition.method) as (...args: unknown[]) => unknown;
    const entry = new Entry(definition.service, definition.method);
    const value = await runInScope({ context, app, entry }, () => Reflect.apply(method, service, args));
    return { error: undefined, value };
  } catch (thrown) {
    return { error: toError(thrown), value: undefined };
  }
}
