import { declarationsOf, type Declaration } from './declaration.js';
import { ConfigError, NotATaskError } from '../errors.js';
import { compileKey } from './key-template.js';
import { keyText, type KeySource } from './key-value.js';
import { hint } from '../nearest.js';
import { show } from '../options.js';
import type { Class, TaskDefinition, UniquePolicy } from '../task-definition.js';
import { DEFAULT_LEASE, DEFAULT_TTL, KEEP_OR_COALESCE, type TaskSettings } from './task-settings.js';

/** The class of what is listed in `services`: itself, or that of an instance. */
export function classOf(service: Class | object): Class {
  const given: unknown = service;
  const found: unknown = typeof given === 'object' && given !== null ? given.constructor : given;
  if (typeof found === 'function' && found !== Object && typeof found.prototype === 'object') return found as Class;
  const cycle = given === undefined ? ' (do the modules import each other? Then let services be a function)' : '';
  throw new ConfigError(`services: an entry is ${show(given)}, neither a class nor an instance of one${cycle}`);
}

const misfit = (where: string, text: string): ConfigError => new ConfigError(`${where}: ${text}`, { where });

/** The one key of both decorators; undefined for a plain task. */
function keyOf({ task, shouldCompute }: Declaration, where: string): KeySource | undefined {
  const enqueue = task?.unique?.key;
  if (shouldCompute === undefined) return enqueue;
  const key = shouldCompute.key ?? enqueue;
  if (key === undefined) {
    throw misfit(where, `@ShouldCompute has no key; write @ShouldCompute('loan:<loanId>'), or give @Task a unique`);
  }
  if (enqueue !== undefined && enqueue !== key) {
    throw misfit(where, `@Task (${keyText(enqueue)}) and @ShouldCompute (${keyText(key)}) have different keys`);
  }
  return key;
}

/** What `@ShouldCompute` leaves open it takes from `@Task({ unique })`. */
function workerPolicy(
  { shouldCompute, where }: Declaration,
  unique: UniquePolicy | undefined,
): UniquePolicy | undefined {
  if (shouldCompute === undefined) return undefined;
  const keepFor = shouldCompute.keepFor ?? unique?.keepFor;
  // What coalesce promised at enqueue, a worker that discards would break.
  const inherited = unique?.onDuplicate === 'coalesce' ? 'coalesce' : 'discard';
  const onDuplicate = shouldCompute.onDuplicate ?? inherited;
  if (keepFor !== undefined && [onDuplicate, unique?.onDuplicate].includes('coalesce')) {
    throw misfit(where, KEEP_OR_COALESCE);
  }
  return Object.freeze({
    onDuplicate,
    keepFor,
    ttl: unique?.ttl ?? DEFAULT_TTL,
    lease: shouldCompute.lease ?? unique?.lease ?? DEFAULT_LEASE,
  });
}

function taskOf({ task }: Declaration, where: string): TaskSettings {
  if (task !== undefined) return task;
  throw new ConfigError(`${where}: @ShouldCompute accompanies @Task; add @Task() to the method`, { where });
}

function nameOf(service: Class, { method, where }: Declaration, name: string | undefined): string {
  if (name !== undefined) return name;
  if (service.name !== '') return `${service.name}.${method}`;
  throw new ConfigError(`${where}: the class has no name; give it one, or set the name of @Task`, { where });
}

function resolve(service: Class, declaration: Declaration): TaskDefinition {
  const { where, method, parameters } = declaration;
  const task = taskOf(declaration, where);
  const name = nameOf(service, declaration, task.name);
  const key = keyOf(declaration, where);
  const unique = task.unique?.policy;
  return Object.freeze({
    name,
    service,
    method,
    queue: task.queue,
    acksLate: task.acksLate,
    retry: task.retry,
    priority: task.priority,
    expires: task.expires,
    timeLimit: task.timeLimit,
    thread: task.thread,
    long: task.long,
    onConnectionLoss: task.onConnectionLoss,
    afterCommit: task.afterCommit,
    parameters,
    key: key === undefined ? undefined : compileKey(key, parameters, name),
    keyText: key === undefined ? undefined : keyText(key),
    unique,
    shouldCompute: workerPolicy(declaration, unique),
  });
}

/**
 * The tasks of a class (or of an instance's class), inherited ones included.
 *
 * @throws ConfigError when it has none, or a method's decorators do not fit together.
 */
export function define(service: Class | object): readonly TaskDefinition[] {
  const listed = classOf(service);
  const found = declarationsOf(listed.prototype as object).map((declaration) => resolve(listed, declaration));
  if (found.length > 0) return found;
  const name = listed.name || '(anonymous class)';
  throw new ConfigError(`services: ${name} has no tasks; decorate a method with @Task()`, { service: name });
}

function untyped({ parameters }: TaskDefinition): boolean {
  return parameters.length > 0 && parameters.every(({ type }) => type === undefined);
}

/** The tasks of an app, resolved from the classes and instances that it lists. */
export class Registry {
  readonly #byName = new Map<string, TaskDefinition>();
  readonly #byClass = new Map<Class, Map<string, TaskDefinition>>();

  /** @throws ConfigError for a class without tasks, and for two tasks with one name. */
  constructor(services: readonly (Class | object)[]) {
    for (const service of services) this.#list(classOf(service));
  }

  #list(service: Class): void {
    if (this.#byClass.has(service)) throw new ConfigError(`services: ${service.name} is listed twice`);
    const definitions = define(service);
    for (const definition of definitions) this.#add(definition);
    this.#byClass.set(service, new Map(definitions.map((definition) => [definition.method, definition])));
  }

  #add(definition: TaskDefinition): void {
    const { name, service, method } = definition;
    const taken = this.#byName.get(name);
    if (taken === undefined) return void this.#byName.set(name, definition);
    const both = `${taken.service.name}.${taken.method} and ${service.name}.${method}`;
    throw new ConfigError(`two tasks are named '${name}': ${both}; set the name of one`, { name });
  }

  /** Every task, in the order of `services`. */
  get definitions(): readonly TaskDefinition[] {
    return [...this.#byName.values()];
  }

  /** The listed classes. */
  get services(): readonly Class[] {
    return [...this.#byClass.keys()];
  }

  /** What is allowed and probably not meant, one sentence each. */
  get warnings(): readonly string[] {
    return this.definitions
      .filter(untyped)
      .map(
        ({ name }) =>
          `${name}: its parameters have no types at run time, so payloads are not validated: ` +
          `set "emitDecoratorMetadata": true in tsconfig.json (tsx and esbuild emit none)`,
      );
  }

  /** The task of that name on the wire. */
  find(name: string): TaskDefinition | undefined {
    return this.#byName.get(name);
  }

  /** Whether the app lists this class. */
  lists(service: Class): boolean {
    return this.#byClass.has(service);
  }

  /**
   * The task of a listed class and its method.
   *
   * @throws NotATaskError when the class is not listed, or the method is no task; it suggests the nearest name.
   */
  of(service: Class, method: string): TaskDefinition {
    const methods = this.#byClass.get(service);
    const found = methods?.get(method);
    if (found !== undefined) return found;
    const data = { service: service.name, method };
    if (methods === undefined) {
      throw new NotATaskError(`${service.name} is not listed in the app: add it to services in createApp`, data);
    }
    const known = [...methods.keys()];
    const list = `${hint(method, known)} (tasks: ${known.join(', ')})`;
    throw new NotATaskError(`${service.name}.${method} is no task${list}`, data);
  }
}
