import type { DirectCall } from '../declarations/guarded-method.js';
import { AmbiguousAppError, NotBoundError } from '../errors.js';
import type { Class } from '../task-definition.js';
import { appOf, type Bindable } from './binding.js';

/** The class of a plain call as an app lists it, and that app. */
export interface Addressee<A> {
  readonly app: A;
  readonly service: Class;
}

/** From the instance's class to the one that has the decorator. */
function lineage({ self, prototype }: DirectCall): Class[] {
  const classes: Class[] = [];
  const heir = typeof self === 'object' && self !== null && Object.prototype.isPrototypeOf.call(prototype, self);
  const first: unknown = heir ? Object.getPrototypeOf(self) : prototype;
  for (let level = first as object; level !== prototype; level = Object.getPrototypeOf(level) as object) {
    classes.push(level.constructor as Class);
  }
  return [...classes, prototype.constructor as Class];
}

/**
 * The app that answers a plain call: found by the class of the instance, or the nearest that it extends.
 * @throws NotBoundError, AmbiguousAppError
 */
export function addressee<A extends Bindable>(call: DirectCall): Addressee<A> {
  const { where } = call;
  for (const service of lineage(call)) {
    try {
      return { app: appOf(service) as A, service };
    } catch (error) {
      if (error instanceof NotBoundError) continue;
      if (!(error instanceof AmbiguousAppError)) throw error;
      const text = `${where} is guarded by @ShouldCompute, and more than one app lists ${service.name}: a plain call cannot choose`;
      throw new AmbiguousAppError(text, error.data);
    }
  }
  const { name } = call.prototype.constructor;
  const text =
    `${where} is guarded by @ShouldCompute, and no app lists ${name}, so nobody knows whether its key is free: list it in ` +
    `the services of createApp (a unit test: createApp({ broker: 'memory:', locks: 'memory:', services: [${name}] }))`;
  throw new NotBoundError(text, { service: name });
}
