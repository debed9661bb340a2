// Everything that a user can import says what it is.
import { relative } from 'node:path';
import ts from 'typescript';

const OPTIONS = { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.Latest, noLib: true, types: [] };

export function checkDocstrings() {
  const program = ts.createProgram(['lib/index.ts'], OPTIONS);
  const checker = program.getTypeChecker();
  const index = checker.getSymbolAtLocation(program.getSourceFile('lib/index.ts'));
  const exported = checker.getExportsOfModule(index).map((symbol) => {
    const alias = (symbol.flags & ts.SymbolFlags.Alias) !== 0;
    return { name: symbol.name, symbol: alias ? checker.getAliasedSymbol(symbol) : symbol };
  });
  const silent = exported.filter(({ symbol }) => symbol.getDocumentationComment(checker).length === 0);
  return silent.map(({ name, symbol }) => {
    const file = symbol.declarations?.[0]?.getSourceFile().fileName;
    return `${file === undefined ? 'lib/index.ts' : relative('.', file)} exports ${name} without a docstring`;
  });
}
