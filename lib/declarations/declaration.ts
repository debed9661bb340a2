import 'reflect-metadata';
import { ConfigError, DecoratorModeError } from '../errors.js';
import { show } from '../options.js';
import { signature, type SignatureParameter } from './signature.js';
import type { Class, ParameterDefinition } from '../task-definition.js';
import type { ShouldComputeSettings, TaskSettings } from './task-settings.js';

/** What the decorators of one method said. */
export interface Declaration {
  readonly method: string;
  /** `Class.method`, with the class that has the decorators. */
  readonly where: string;
  readonly parameters: readonly ParameterDefinition[];
  readonly task: TaskSettings | undefined;
  readonly shouldCompute: ShouldComputeSettings | undefined;
}

/** The decorators of a method run one after the other; this is what they fill in. */
interface Draft {
  readonly names: Map<number, string>;
  parameters?: readonly ParameterDefinition[];
  task?: TaskSettings;
  shouldCompute?: ShouldComputeSettings;
}

/** The one place where decorators record: by prototype, then by method. Importing a module fills it and does no more. */
const storage = new WeakMap<object, Map<string, Draft>>();

function draftOf(prototype: object, method: string): Draft {
  const methods = storage.get(prototype) ?? new Map<string, Draft>();
  const draft = methods.get(method) ?? { names: new Map<number, string>() };
  storage.set(prototype, methods.set(method, draft));
  return draft;
}

/** `Class.method`, for people. */
const placeOf = (prototype: object, method: string): string =>
  `${prototype.constructor.name || '(anonymous class)'}.${method}`;

/** A method that is being decorated, before anything is known to be right about it. */
export interface Target {
  readonly prototype: object;
  readonly method: string;
  readonly where: string;
}

/**
 * Refuses what the arguments of a decorator call show to be no legacy decorator on a prototype's member.
 *
 * @throws DecoratorModeError for a standard (stage 3) decorator call, ConfigError for a class, a static or a symbol.
 */
export function checkTarget(decorator: string, target: unknown, member: unknown): Target {
  if (typeof member === 'object' && member !== null && 'kind' in member) {
    throw new DecoratorModeError(
      `${decorator} was called as a standard (stage 3) decorator; set "experimentalDecorators": true ` +
        `and "emitDecoratorMetadata": true in tsconfig.json`,
      { decorator },
    );
  }
  const named = typeof member === 'string' ? member : show(member);
  if (typeof target === 'function') {
    const place = member === undefined ? `class ${target.name}` : `${target.name}.${named} (static)`;
    throw new ConfigError(`${decorator} on ${place}: it belongs to a method of instances`, { decorator });
  }
  if (typeof target !== 'object' || target === null || typeof member !== 'string') {
    throw new ConfigError(`${decorator} on ${named}: it belongs to a method whose name is a string`, {
      decorator,
    });
  }
  return { prototype: target, method: member, where: placeOf(target, member) };
}

/** The method behind a descriptor. Throws ConfigError for properties and accessors. */
function methodOf(decorator: string, where: string, descriptor: unknown): Function {
  const method = (descriptor as PropertyDescriptor | undefined)?.value as unknown;
  if (typeof method === 'function') return method;
  throw new ConfigError(`${decorator} on ${where}: it belongs to a method, and this is a property or an accessor`, {
    decorator,
  });
}

/**
 * Brings together what the code, the compiler and `@Key` say about the parameters. The compiler knows more parameters
 * than the code shows when a decorator below ours has put a wrapper in the method's place: then the wrapper's names and
 * its rest parameter mean nothing.
 */
function parametersOf(method: Function, types: readonly unknown[], names: ReadonlyMap<number, string>) {
  const read = signature(method);
  const shown: readonly SignatureParameter[] = types.length > read.length ? [] : read;
  const given = new Set(names.values());
  const length = Math.max(shown.length, types.length, ...[...names.keys()].map((index) => index + 1));
  return Array.from({ length }, (_, i): ParameterDefinition => {
    const { name, rest } = shown[i] ?? { name: undefined, rest: false };
    const type = types[i];
    return Object.freeze({
      name: names.get(i) ?? (name !== undefined && given.has(name) ? undefined : name),
      type: typeof type === 'function' ? (type as Class) : undefined,
      rest: rest && !names.has(i),
    });
  });
}

/** Records that `@Key` names a parameter. */
export function recordName({ prototype, method, where }: Target, index: number, name: string): void {
  const { names } = draftOf(prototype, method);
  if ([...names.values()].includes(name)) throw new ConfigError(`${where}: two parameters are named @Key('${name}')`);
  names.set(index, name);
}

/** What a decorator recorded on a method, and the parameters to check a key against. */
type Setting = Pick<Draft, 'task'> | Pick<Draft, 'shouldCompute'>;

/**
 * Records what one decorator says about a method, after `check` found it right.
 *
 * @throws ConfigError when the place is no method, or the decorator stands there twice.
 */
export function recordMethod(
  decorator: '@Task' | '@ShouldCompute',
  args: readonly unknown[],
  check: (where: string, parameters: readonly ParameterDefinition[]) => Setting,
): void {
  const { prototype, method, where } = checkTarget(decorator, args[0], args[1]);
  const body = methodOf(decorator, where, args[2]);
  const draft = draftOf(prototype, method);
  if (draft[decorator === '@Task' ? 'task' : 'shouldCompute'] !== undefined) {
    throw new ConfigError(`${where}: ${decorator} stands here twice`, { decorator });
  }
  const types = (Reflect.getOwnMetadata('design:paramtypes', prototype, method) ?? []) as readonly unknown[];
  draft.parameters ??= Object.freeze(parametersOf(body, types, draft.names));
  Object.assign(draft, check(where, draft.parameters));
}

/**
 * Every declared method of a prototype, its own and inherited; the nearest class that decorates a method decides for it.
 */
export function declarationsOf(prototype: object): readonly Declaration[] {
  const found = new Map<string, Declaration>();
  for (let level: object | null = prototype; level !== null; level = Object.getPrototypeOf(level) as object | null) {
    for (const [method, { parameters, task, shouldCompute }] of storage.get(level) ?? []) {
      if (parameters === undefined || found.has(method)) continue;
      found.set(method, { method, where: placeOf(level, method), parameters, task, shouldCompute });
    }
  }
  return [...found.values()];
}
