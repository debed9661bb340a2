// The syntax trees of lib/, and the little that all checks on them share.
import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';

/** Every TypeScript file of lib/ that holds code, with its tree. Paths are relative to the project, with slashes. */
export function librarySources() {
  const files = readdirSync('lib', { recursive: true }).map((file) => `lib/${file.replaceAll('\\', '/')}`);
  const code = files.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts')).sort();
  return code.map((path) => {
    const text = readFileSync(path, 'utf8');
    return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true) };
  });
}

export function walk(node, visit) {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

export const lineOf = (tree, position) => tree.getLineAndCharacterOfPosition(position).line + 1;

export const place = (source, node) => `${source.path}:${lineOf(source.tree, node.getStart(source.tree))}`;
