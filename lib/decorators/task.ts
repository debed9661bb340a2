import { checkTarget, recordMethod } from '../declarations/declaration.js';
import { ConfigError } from '../errors.js';
import { compileKey } from '../declarations/key-template.js';
import type { KeyFunction } from '../declarations/key-value.js';
import type { TaskOptions, UniqueOptions } from '../declarations/task-options.js';
import { taskSettings } from '../declarations/task-settings.js';
import type { KeyedDecorator, TaskDecorator } from './types.js';

/** `@Task` without parentheses would take the prototype for its options. */
function refuseBare(args: readonly unknown[]): void {
  if (args.length < 2) return;
  const { where } = checkTarget('@Task', args[0], args[1]);
  throw new ConfigError(`${where}: write @Task() with parentheses`);
}

/**
 * Makes a method a task. It only records: a plain call of the method still runs its body. A key function annotates its
 * parameters; they may be fewer than the method's, and must accept them.
 *
 * @throws ConfigError where it stands, for an unknown option, a wrong value, or a key that no parameter carries;
 * NotYetError for an option that is not built; DecoratorModeError without `experimentalDecorators`.
 */
export function Task(options?: TaskOptions): TaskDecorator;
export function Task<A extends unknown[]>(
  options: Omit<TaskOptions, 'unique'> & { readonly unique: KeyFunction<A> | UniqueOptions<KeyFunction<A>> },
): KeyedDecorator<A>;
export function Task(...args: readonly unknown[]): TaskDecorator {
  refuseBare(args);
  return (...place) =>
    recordMethod('@Task', place, (where, parameters) => {
      const task = taskSettings(args[0], where);
      if (task.unique !== undefined) compileKey(task.unique.key, parameters, where);
      return { task };
    });
}
