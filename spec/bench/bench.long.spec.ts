import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { played } from '../support/bench.js';

describe('npm run bench', () => {
  it('plays all rows, and draws them', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'solotask-bench-'));
    try {
      const rows = await played('--chart', join(folder, 'charts/all.svg'));
      const svg = readFileSync(join(folder, 'charts/all.svg'), 'utf8');
      for (const { name } of rows) expect(svg).to.contain(`>${name}`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }).timeout(180_000);
});
