import { parseExpressionAt, type Expression, type Pattern } from 'acorn';

/** A parameter as the compiled code shows it. */
export interface SignatureParameter {
  /** Undefined when it is destructured, or when the code cannot be read. */
  readonly name: string | undefined;
  readonly rest: boolean;
}

function parameter(pattern: Pattern): SignatureParameter {
  switch (pattern.type) {
    case 'Identifier':
      return { name: pattern.name, rest: false };
    case 'AssignmentPattern':
      return parameter(pattern.left);
    case 'RestElement':
      return { name: parameter(pattern.argument).name, rest: true };
    default:
      return { name: undefined, rest: false };
  }
}

/** Private names are declared in the class around the method, which acorn does not see. */
const parse = (source: string): Expression =>
  parseExpressionAt(source, 0, { ecmaVersion: 'latest', sourceType: 'module', checkPrivateFields: false });

/** `source` as a member of a class, the form in which methods print themselves. */
function memberParameters(source: string): readonly Pattern[] | undefined {
  const wrapper = parse(`class extends Object { ${source}\n}`);
  const member = wrapper.type === 'ClassExpression' ? wrapper.body.body[0] : undefined;
  return member?.type === 'MethodDefinition' ? member.value.params : undefined;
}

/** `source` as a function or arrow function: what a decorator below ours may have put in the method's place. */
function functionParameters(source: string): readonly Pattern[] | undefined {
  const expression = parse(`(${source}\n)`);
  const readable = expression.type === 'FunctionExpression' || expression.type === 'ArrowFunctionExpression';
  return readable ? expression.params : undefined;
}

function attempt(read: (source: string) => readonly Pattern[] | undefined, source: string) {
  try {
    return read(source);
  } catch {
    return undefined;
  }
}

/**
 * The parameters of a function, read from its own source. Never throws: code that cannot be parsed (native, bound,
 * newer syntax) gives as many unnamed parameters as the function's `length` says.
 */
export function signature(method: Function): readonly SignatureParameter[] {
  const source = Function.prototype.toString.call(method);
  const patterns = attempt(memberParameters, source) ?? attempt(functionParameters, source);
  return patterns?.map(parameter) ?? Array.from({ length: method.length }, () => ({ name: undefined, rest: false }));
}
