import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './support/doc-examples.js';

/** Where a code is written down: the leaf classes, bare TaskErrors, dead letters. */
const CODE = /(?:\bkind\(|\bsuper\(|\bnew TaskError\(|\bcode:)\s*'([A-Z][A-Z_]+)'/g;
const LEAF = /class (\w+) extends kind\('([A-Z_]+)'\)/g;
const ROW = /^\| `([A-Z_]+)` +\| (`?\w+`?|–) +\|/gm;

const sources = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(ROOT, 'lib', file), 'utf8'))
  .join('\n');

describe('docs/errors.md', () => {
  const rows = [...readFileSync(join(ROOT, 'docs/errors.md'), 'utf8').matchAll(ROW)];
  const classes = new Map(rows.map(([, code = '', name = '']) => [code, name.replaceAll('`', '')]));

  it('has a row for every code in lib/, and for no other', () => {
    const codes = new Set([...sources.matchAll(CODE)].map(([, code]) => code));
    expect(codes).to.include('CONFIG').and.include('RECOVERED').and.include('USAGE').and.include('NO_CONTEXT');
    expect([...classes.keys()]).to.have.members([...codes]);
    expect(rows).to.have.length(classes.size);
  });

  it('names the class of every code that has one', () => {
    const leaves = [...sources.matchAll(LEAF)].map(([, name = '', code = '']) => [code, name] as const);
    expect(leaves).to.have.length.above(20);
    for (const [code, name] of leaves) expect(classes.get(code), code).to.equal(name);
  });
});
