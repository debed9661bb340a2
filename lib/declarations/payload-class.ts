import { createRequire } from 'node:module';
import type { ValidationError } from 'class-validator';
import { toError, type Violation } from '../errors.js';
import { step } from '../json.js';
import type { Class } from '../task-definition.js';

/**
 * class-validator takes long to load, and an app that declares no payload class never needs it. Its storage is global,
 * by design, so that copies of it agree: without one nobody has declared anything.
 */
const declared = globalThis as { classValidatorMetadataStorage?: unknown };
const load = createRequire(import.meta.url);
const validator = () => load('class-validator') as typeof import('class-validator');
const transformer = () => load('class-transformer') as typeof import('class-transformer');

/** Whether a class carries class-validator decorators, its own or inherited. */
export function isPayloadClass(type: Class): boolean {
  if (declared.classValidatorMetadataStorage === undefined) return false;
  return validator().getMetadataStorage().getTargetValidationMetadatas(type, '', false, false).length > 0;
}

/** A tree of class-validator's errors as a list; nested paths are spelled out. */
function flatten(errors: readonly ValidationError[], path: string, violations: Violation[]): void {
  for (const { property, target, constraints, children } of errors) {
    const own = path + step(Array.isArray(target) ? Number(property) : property);
    for (const message of Object.values(constraints ?? {})) violations.push({ path: own, message });
    flatten(children ?? [], own, violations);
  }
}

/** An instance as the JSON of its class: class-transformer's `@Expose`, `@Exclude` and `@Transform` are heeded. */
export function toPlain(instance: object): unknown {
  return transformer().instanceToPlain(instance);
}

function instantiate(type: Class, plain: object, path: string, violations: Violation[]): unknown {
  const instance: object = transformer().plainToInstance(type as new () => object, plain);
  flatten(validator().validateSync(instance), path, violations);
  return instance;
}

/**
 * The instance of a payload class for a JSON value; violations are added with their paths. Properties that the class does
 * not know are kept. Asynchronous validators are not run. Null and undefined stay: whether a parameter is optional is not
 * known at run time.
 */
export function toInstance(type: Class, plain: unknown, path: string, violations: Violation[]): unknown {
  if (plain === null || plain === undefined) return plain;
  if (typeof plain !== 'object' || Array.isArray(plain)) {
    violations.push({ path, message: `must be an object (${type.name})` });
    return undefined;
  }
  try {
    return instantiate(type, plain, path, violations);
  } catch (thrown) {
    violations.push({ path, message: `cannot become a ${type.name}: ${toError(thrown).message}` });
    return undefined;
  }
}
