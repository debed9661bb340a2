import { NotBoundError } from '../errors.js';
import { isBody } from '../task-context.js';
import type { Target } from './declaration.js';

type Method = (...args: unknown[]) => unknown;

/** A plain call of a method that `@ShouldCompute` guards. */
export interface DirectCall extends Target {
  /** What it was called on. */
  readonly self: unknown;
  readonly args: readonly unknown[];
  /** Runs the undecorated method. @param newest instead of its own arguments. @default its own */
  body(newest?: readonly unknown[]): unknown;
}

/** Finds the app of a call, and runs its body under the lock. */
export type DirectCaller = (call: DirectCall) => Promise<unknown>;

let caller: DirectCaller = ({ where }) =>
  Promise.reject(new NotBoundError(`${where} is guarded by @ShouldCompute, and there is no app yet: see createApp`));

/** Apps are above the decorators, which do not know them: they say here who answers plain calls. */
export const answerDirectCalls = (answer: DirectCaller): void => void (caller = answer);

/**
 * Puts a guard in the method's place: a plain call takes the lock first, and gives a promise whatever the method gives.
 * The call that a run makes has its lock already.
 */
export function guardMethod(target: Target, descriptor: PropertyDescriptor): void {
  const method = descriptor.value as Method;
  async function guarded(this: unknown, ...args: unknown[]): Promise<unknown> {
    const body = (newest: readonly unknown[] = args): unknown => Reflect.apply(method, this, newest);
    return isBody(target) ? body() : caller({ ...target, self: this, args, body });
  }
  for (const name of ['name', 'length'] as const)
    Object.defineProperty(guarded, name, { value: method[name], configurable: true });
  descriptor.value = guarded;
}
