import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './support/doc-examples.js';

/** What of tools/mutations is used here. */
interface Mutations {
  misfits(): string[];
  readonly MUTATIONS: readonly { rule: string; name: string }[];
}

const load = async (name: string): Promise<Mutations> =>
  (await import(pathToFileURL(join(ROOT, 'tools/mutations', name)).href)) as Mutations;

describe('the mutations of `npm run mutate`', () => {
  it('apply to this build', async () => {
    expect((await load('copy.js')).misfits()).to.deep.equal([]);
  });

  it('have a row each in docs/guarantees.md, and the page has no others', async () => {
    const page = readFileSync(join(ROOT, 'docs/guarantees.md'), 'utf8');
    const table = page.slice(page.indexOf('<!-- mutations -->'));
    const rows = [...table.matchAll(/^\| (.+?) +\| (.+?) +\|/gm)].slice(2).map(([, rule, name]) => `${rule}: ${name}`);
    const { MUTATIONS } = await load('index.js');
    expect(rows).to.deep.equal(MUTATIONS.map(({ rule, name }) => `${rule}: ${name}`));
  });
});
