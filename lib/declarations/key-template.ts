import { ConfigError, KeyError, toError } from '../errors.js';
import { checkKey, escapePart, kindOf, refused, textOf, type KeyFunction, type KeySource } from './key-value.js';
import { hint } from '../nearest.js';
import type { ParameterDefinition } from '../task-definition.js';

/** One `<path>` of a template. */
interface Placeholder {
  readonly path: string;
  readonly steps: readonly string[];
  /** Index of the argument that carries it; undefined: a property of the only object argument. */
  readonly index: number | undefined;
  /** The literal text behind it, up to the next placeholder. */
  readonly tail: string;
  /** What must not appear in its value: see `escapePart`. */
  readonly stop: string | undefined;
}

const PLACEHOLDER = /<([^<>{}]*)>|\{([^<>{}]*)\}/g;
/** Types (by `design:paramtypes`) whose values carry no named properties. */
const FLAT: ReadonlySet<unknown> = new Set([String, Number, Boolean, BigInt, Symbol, Date, Array]);

const canBeObject = ({ type, rest }: ParameterDefinition): boolean => !FLAT.has(type) && !(rest && type === undefined);

/** The parameters as an error's text lists them. */
const listed = (parameters: readonly ParameterDefinition[]): string =>
  parameters.map(({ name, rest }) => `${rest ? '...' : ''}${name ?? '(unnamed)'}`).join(', ') || 'none';

function carrier(path: string, head: string, parameters: readonly ParameterDefinition[], where: string) {
  const index = parameters.findIndex(({ name }) => name === head);
  const found = parameters[index];
  if (found === undefined) {
    if (parameters.some(canBeObject)) return undefined;
    const names = parameters.flatMap(({ name }) => name ?? []);
    throw new ConfigError(
      `${where}: no parameter carries <${path}> (parameters: ${listed(parameters)})${hint(head, names)}` +
        `; where code is minified or wrapped, name the parameter with @Key('${head}')`,
      { placeholder: path, parameters: names },
    );
  }
  if (found.rest) throw new ConfigError(`${where}: <${path}> is a list (...${head}); a key needs one value`);
  if (path !== head && !canBeObject(found)) {
    throw new ConfigError(`${where}: <${path}> asks for a property of '${head}', which is no object`);
  }
  return index;
}

/**
 * The character that ends a value in the finished key: the first of the literal text between two placeholders. A letter
 * or digit will not do (escapes are made of them), nor will `%`.
 */
function stopOf(tail: string, path: string, where: string): string {
  const stop = String.fromCodePoint(tail.codePointAt(0) ?? 0x25);
  if (!/[\p{L}\p{N}%]/u.test(stop)) return stop;
  throw new ConfigError(
    `${where}: <${path}> runs into the placeholder behind it; put a separator such as ':' directly after <${path}>`,
    { placeholder: path },
  );
}

function checkLiteral(literal: string, template: string, where: string): string {
  const lone = /[<>{}]/.exec(literal)?.[0];
  if (lone === undefined) return literal;
  throw new ConfigError(
    `${where}: '${lone}' stands alone in the key '${template}'; a placeholder is written <name> or {name}, ` +
      `and a key with a literal '${lone}' needs a key function`,
    { template },
  );
}

function parse(template: string, parameters: readonly ParameterDefinition[], where: string) {
  if (template.trim() === '') throw new ConfigError(`${where}: the key is empty; write one such as 'loan:<loanId>'`);
  const found = [...template.matchAll(PLACEHOLDER)];
  const start = checkLiteral(template.slice(0, found[0]?.index), template, where);
  const placeholders = found.map((match, i): Placeholder => {
    const path = (match[1] ?? match[2] ?? '').trim();
    const steps = path.split('.');
    if (steps.some((step) => step.trim() === '')) {
      throw new ConfigError(`${where}: the key '${template}' has a placeholder without a name: ${match[0]}`);
    }
    const tail = checkLiteral(template.slice(match.index + match[0].length, found[i + 1]?.index), template, where);
    const stop = i + 1 < found.length ? stopOf(tail, path, where) : undefined;
    return { path, steps, index: carrier(path, steps[0]!, parameters, where), tail, stop };
  });
  return { start, placeholders };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);

function onlyObject(args: readonly unknown[], path: string, where: string): unknown {
  const objects = args.filter(isObject);
  if (objects.length === 1) return objects[0];
  const count = objects.length === 0 ? 'no argument is an object' : `${objects.length} arguments are objects`;
  throw refused(where, path, `<${path}> is no parameter, and to be a property it needs one object argument: ${count}`);
}

function valueOf({ path, steps, index }: Placeholder, args: readonly unknown[], where: string): unknown {
  let value = index === undefined ? onlyObject(args, path, where) : args[index];
  for (const step of index === undefined ? steps : steps.slice(1)) {
    if (!isObject(value))
      throw refused(where, path, `<${path}> cannot be looked up: before '${step}' is ${kindOf(value)}`);
    value = value[step];
  }
  return value;
}

function render(placeholder: Placeholder, args: readonly unknown[], where: string): string {
  const value = valueOf(placeholder, args, where);
  const text = textOf(value);
  if (text !== undefined && text !== '') return escapePart(text, placeholder.stop) + placeholder.tail;
  const right = 'a key takes strings, numbers, booleans and dates';
  throw refused(where, placeholder.path, `<${placeholder.path}> is ${kindOf(value)}; ${right}`);
}

function callKeyFunction(source: KeyFunction, args: readonly unknown[], where: string): string {
  let key: unknown;
  try {
    key = source(...(args as never[]));
  } catch (thrown) {
    throw new KeyError(`${where}: the key function threw: ${toError(thrown).message}`, { task: where }, thrown);
  }
  if (key instanceof Promise) key.catch(() => undefined);
  return checkKey(key, where);
}

/**
 * Turns a declared key into the function that computes it. `where` names the task in errors.
 *
 * @throws ConfigError for a template that is empty, unbalanced, or asks for what no parameter can carry. The function it
 * returns throws KeyError for arguments that give no key.
 */
export function compileKey(
  source: KeySource,
  parameters: readonly ParameterDefinition[],
  where: string,
): (args: readonly unknown[]) => string {
  if (typeof source === 'function') return (args) => callKeyFunction(source, args, where);
  const { start, placeholders } = parse(source, parameters, where);
  return (args) => {
    let key = start;
    for (const placeholder of placeholders) key += render(placeholder, args, where);
    return checkKey(key, where);
  };
}
