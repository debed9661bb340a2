import { PayloadError, type Violation } from '../errors.js';
import { step, toJson } from '../json.js';
import { hint } from '../nearest.js';
import { isPayloadClass, toInstance, toPlain } from './payload-class.js';
import { show } from '../options.js';
import type { Class, ParameterDefinition, TaskDefinition } from '../task-definition.js';

/** Turns the JSON value of one parameter into what the body is given; adds what is wrong with it to `violations`. */
type Revive = (value: unknown, path: string, violations: Violation[]) => unknown;

/** A parameter that is more than plain JSON: a date, or an instance of a payload class. */
interface Typed {
  readonly index: number;
  readonly rest: boolean;
  /** Undefined for a date. */
  readonly payload: Class | undefined;
  readonly revive: Revive;
}

/** Which parameters are typed is looked up once: when a task is first packed or unpacked, all classes are declared. */
const plans = new WeakMap<TaskDefinition, readonly Typed[]>();

/** Left to itself, `Date` would take `'5'` for a day in May 2001. */
const ISO_DATE = /^(\d{4}|[+-]\d{6})-\d{2}-\d{2}/;

const reviveDate: Revive = (value, path, violations) => {
  if (value === null || value === undefined) return value;
  const date = typeof value === 'string' && ISO_DATE.test(value) ? new Date(value) : undefined;
  if (date !== undefined && !Number.isNaN(date.getTime())) return date;
  violations.push({ path, message: `must be an ISO 8601 date, not ${show(value)}` });
  return undefined;
};

function typedParameter({ type, rest }: ParameterDefinition, index: number): Typed | undefined {
  if (type === (Date as unknown as Class)) return { index, rest, payload: undefined, revive: reviveDate };
  if (type === undefined || !isPayloadClass(type)) return undefined;
  return { index, rest, payload: type, revive: (...value) => toInstance(type, ...value) };
}

function planOf(definition: TaskDefinition): readonly Typed[] {
  const known = plans.get(definition);
  if (known !== undefined) return known;
  const plan = definition.parameters.flatMap((parameter, index) => typedParameter(parameter, index) ?? []);
  plans.set(definition, plan);
  return plan;
}

/** An argument's place as an error names it: by parameter, `args[0]` where that has no name. */
function pathOf({ parameters }: TaskDefinition, index: number): string {
  const last = parameters.length - 1;
  const rest = parameters[last]?.rest === true && index >= last;
  const name = parameters[rest ? last : index]?.name;
  if (name === undefined) return `args[${index}]`;
  return rest ? name + step(index - last) : name;
}

function refuse(definition: TaskDefinition, violations: readonly Violation[]): void {
  const [first] = violations;
  if (first === undefined) return;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : '';
  throw new PayloadError(`${definition.name}: ${first.path}: ${first.message}${more}`, violations, {
    task: definition.name,
  });
}

/** Calls `visit` with every argument of a typed parameter; a rest parameter has many. */
function eachTyped(definition: TaskDefinition, length: number, visit: (typed: Typed, index: number) => void): void {
  for (const typed of planOf(definition)) {
    const end = typed.rest ? length : Math.min(length, typed.index + 1);
    for (let index = typed.index; index < end; index++) visit(typed, index);
  }
}

function revived(definition: TaskDefinition, args: unknown[]): unknown[] {
  if (planOf(definition).length === 0) return args;
  const instances = [...args];
  const violations: Violation[] = [];
  eachTyped(definition, args.length, ({ revive }, index) => {
    instances[index] = revive(args[index], pathOf(definition, index), violations);
  });
  refuse(definition, violations);
  return instances;
}

/** An instance travels as class-transformer writes it, unless it writes itself. */
function fromInstances(definition: TaskDefinition, args: readonly unknown[], packed: unknown[]): void {
  const violations: Violation[] = [];
  eachTyped(definition, packed.length, ({ payload }, index) => {
    const value = args[index];
    if (payload === undefined || !(value instanceof payload) || 'toJSON' in value) return;
    packed[index] = toJson(toPlain(value), pathOf(definition, index), violations);
  });
  refuse(definition, violations);
}

function copied(definition: TaskDefinition, args: readonly unknown[], length: number): unknown[] {
  const violations: Violation[] = [];
  const packed: unknown[] = [];
  for (let i = 0; i < length; i++) {
    const value = args[i];
    // The common arguments pay for no path.
    const plain = typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value));
    packed.push(plain ? value : (toJson(value, pathOf(definition, i), violations) ?? null));
  }
  refuse(definition, violations);
  return packed;
}

/**
 * Arguments as they travel: a copy made of plain JSON values. Undefined at the end is left out, elsewhere it becomes null,
 * as JSON has it; so do undefined items of arrays, while undefined properties are dropped. Arguments of payload classes
 * are validated in the very form that the worker will see.
 *
 * @throws PayloadError listing what JSON cannot carry, or what the payload classes refuse.
 */
export function pack(definition: TaskDefinition, args: readonly unknown[]): unknown[] {
  let length = args.length;
  while (length > 0 && args[length - 1] === undefined) length--;
  const packed = copied(definition, args, length);
  fromInstances(definition, args, packed);
  revived(definition, packed);
  return packed;
}

/**
 * Positional arguments, with those that a foreign producer passed by name put in their places.
 *
 * @throws PayloadError for a name that is no parameter, a rest parameter, or given by position as well.
 */
export function bindArguments(
  definition: TaskDefinition,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>>,
): unknown[] {
  const bound = [...args];
  const named = Object.entries(kwargs);
  if (named.length === 0) return bound;
  const violations: Violation[] = [];
  const names = definition.parameters.map(({ name, rest }) => (rest ? undefined : name));
  for (const [name, value] of named) {
    const index = names.indexOf(name);
    if (index < 0)
      violations.push({
        path: name,
        message: `is no parameter${hint(
          name,
          names.flatMap((one) => one ?? []),
        )}`,
      });
    else if (index < args.length) violations.push({ path: name, message: 'is given by position and by name' });
    else bound[index] = value;
  }
  refuse(definition, violations);
  return Array.from(bound);
}

/**
 * The arguments of a message as the body takes them: bound to their places, dates revived, payload classes instantiated
 * and validated. Properties that a payload class does not know are kept.
 *
 * @throws PayloadError listing what is wrong; the message can never run.
 */
export function unpack(
  definition: TaskDefinition,
  args: readonly unknown[],
  kwargs: Readonly<Record<string, unknown>> = {},
): unknown[] {
  return revived(definition, bindArguments(definition, args, kwargs));
}
