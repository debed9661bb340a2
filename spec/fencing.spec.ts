import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { createApp, Task, taskContext } from 'solotask';
import { compile, examplesOf, ROOT, write } from './support/doc-examples.js';
import { eventually } from './support/eventually.js';

/** What the example of docs/fencing.md exports. */
interface Totals {
  readonly LoanTotals: new () => { recompute(loanId: number): Promise<void> };
  readonly pay: (loanId: number, amount: number) => void;
  readonly readTotal: (loanId: number) => number;
  readonly writeTotal: (loanId: number, total: number, fence: number) => boolean;
  readonly storedTotal: (loanId: number) => number | undefined;
}

describe('the example of docs/fencing.md', () => {
  let folder: string;
  let totals: Totals;

  before(async function () {
    this.timeout(60_000);
    // Inside the repository, so that `solotask` is this package.
    folder = mkdtempSync(join(ROOT, 'dist/fencing-'));
    const page = readFileSync(join(ROOT, 'docs/fencing.md'), 'utf8');
    const example = examplesOf(page).find(({ path }) => path === 'loan-totals.ts');
    write(folder, 'loan-totals.ts', example?.text ?? '');
    const compilerOptions = { outDir: 'out', rootDir: '.', sourceMap: false };
    write(folder, 'tsconfig.json', JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['.'] }));
    expect(await compile(folder)).to.deep.equal({ code: 0, output: '' });
    totals = (await import(pathToFileURL(join(folder, 'out/loan-totals.js')).href)) as Totals;
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('writes what was paid, run for run', async () => {
    const { LoanTotals, pay, storedTotal } = totals;
    await using app = createApp({ broker: 'memory:', locks: 'memory:', services: [LoanTotals] });
    await app.worker().start();
    for (const expected of [100, 200]) {
      pay(1, 100);
      await app.tasks(LoanTotals).recompute(1);
      await eventually(() => expect(storedTotal(1)).to.equal(expected));
    }
  });

  it('keeps out the late write of a run that was overtaken', async () => {
    const { pay, readTotal, writeTotal, storedTotal } = totals;
    const runs: { fence: number; total: number }[] = [];
    class Sleepers {
      @Task({ unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        runs.push({ fence: taskContext().fence ?? 0, total: readTotal(loanId) });
      }
    }
    await using app = createApp({ broker: 'memory:', locks: 'memory:', services: [Sleepers] });
    await app.worker().start();
    for (const count of [1, 2]) {
      pay(2, 50);
      await eventually(async () => expect((await app.tasks(Sleepers).recompute(2)).status).to.equal('enqueued'));
      await eventually(() => expect(runs).to.have.length(count));
    }
    const [early, late] = runs;
    expect(writeTotal(2, late!.total, late!.fence)).to.equal(true);
    expect(writeTotal(2, early!.total, early!.fence)).to.equal(false);
    expect(storedTotal(2)).to.equal(100);
  });
});
