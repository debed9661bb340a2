import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './support/doc-examples.js';

/** The lines of the README's section. */
const LISTED = (/^## Not built yet\n(.*?)^## /ms.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1] ?? '')
  .split('\n')
  .filter((text) => text.startsWith('- '));

/** `file.ts:12` for each place of lib/ that refuses. */
function places(): readonly string[] {
  const lib = join(ROOT, 'lib');
  return readdirSync(lib, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const lines = readFileSync(join(lib, file), 'utf8').split('\n');
      return lines.flatMap((text, i) => (text.includes('new NotYetError(') ? [`${file}:${i + 1}`] : []));
    });
}

describe('what the README says is not built yet', () => {
  it('is nothing, and lib/ refuses nothing as not built', () => {
    expect({ listed: LISTED, refused: places() }).to.deep.equal({ listed: [], refused: [] });
  });
});
