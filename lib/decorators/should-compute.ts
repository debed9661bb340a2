import { recordMethod } from '../declarations/declaration.js';
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
}

/**
 * Lets the worker decide whether a task of the same key should run. It accompanies `@Task`, in either order; bare, or
 * without a key, it takes the key of `@Task({ unique })`. It only records.
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
