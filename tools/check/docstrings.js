// Everything that a user can import says what it is.
import { relative } from 'node:path';
import ts from 'typescript';

const OPTIONS = { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.Latest, noLib: true, types: [] };

/** The doors that package.json opens. */
const DOORS = ['lib/index.ts', 'lib/testing.ts'];

export function checkDocstrings() {
  const program = ts.createProgram(DOORS, OPTIONS);
  const checker = program.getTypeChecker();
  return DOORS.flatMap((door) => silentOf(door, checker.getSymbolAtLocation(program.getSourceFile(door)), checker));
}

function silentOf(door, module, checker) {
  const exported = checker.getExportsOfModule(module).map((symbol) => {
    const alias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    return { name: symbol.name, symbol: alias ? checker.getAliasedSymbol(symbol) : symbol };
  });
  const silent = exported.filter(({ symbol }) => symbol.getDocumentationComment(checker).length === 0);
  return silent.map(({ name, symbol }) => {
    const file = symbol.declarations?.[0]?.getSourceFile().fileName;
    return `${file === undefined ? door : relative('.', file)} exports ${name} without a docstring`;
  });
}
