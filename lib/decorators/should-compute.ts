import { checkTarget, recordMethod } from '../declarations/declaration.js';
import { guardMethod } from '../declarations/guarded-method.js';
import { compileKey } from '../declarations/key-template.js';
import type { KeyFunction } from '../declarations/key-value.js';
import type { ShouldComputeOptions } from '../declarations/task-options.js';
import { shouldComputeSettings } from '../declarations/task-settings.js';
import type { KeyedDecorator, Method, TaskDecorator } from './types.js';

function record(place: readonly unknown[], options: unknown): void {
  recordMethod('@ShouldCompute', place, (where, parameters) => {
    const shouldCompute = shouldComputeSettings(options, where);
    if (shouldCompute.key !== undefined) compileKey(shouldCompute.key, parameters, where);
    return { shouldCompute };
  });
  guardMethod(checkTarget('@ShouldCompute', place[0], place[1]), place[2] as PropertyDescriptor);
}

/**
 * Lets the worker decide whether a task of the same key should run. It accompanies `@Task`, in either order; bare, or
 * without a key, it takes the key of `@Task({ unique })`.
 *
 * A plain call of the method takes the lock as well, through the app that lists the class, and resolves to undefined
 * when another task has it (`requeue` waits for its turn, `reject` rejects with `DuplicateTaskError`). It gives a promise,
 * whatever the method gives: declare the method async. Its signal and fence are in `taskContext()`.
 *
 * @throws ConfigError where it stands, for an unknown option, a wrong value, or a key that no parameter carries;
 * NotYetError for an option that is not built; DecoratorModeError without `experimentalDecorators`.
 */
export function ShouldCompute<M extends Method>(
  target: object,
  method: string | symbol,
  descriptor: TypedPropertyDescriptor<M>,
): void;
export function ShouldCompute(key?: string | ShouldComputeOptions): TaskDecorator;
export function ShouldCompute<A extends unknown[]>(
  key: KeyFunction<A> | (ShouldComputeOptions<KeyFunction<A>> & { readonly key: KeyFunction<A> }),
): KeyedDecorator<A>;
export function ShouldCompute(...args: readonly unknown[]): TaskDecorator | undefined {
  if (args.length < 2) return (...place) => record(place, args[0]);
  record(args, undefined);
  return undefined;
}
