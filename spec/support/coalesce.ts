import { expect } from 'chai';
import { eventually } from './eventually.js';
import type { Stage } from './stage.js';

/** A declaration that most specs of coalesce share. */
export const COALESCE = { key: 'loan:<loanId>', onDuplicate: 'coalesce' } as const;

/** After a last run: nothing waits, nobody has the key, no arguments are kept. */
export async function nothingIsLeft(stage: Stage, task = 'Loans.recompute'): Promise<void> {
  await eventually(async () => {
    const record = await stage.record(task, 'loan:1');
    expect([record?.owner, record?.args, record?.mark]).to.deep.equal([undefined, undefined, undefined]);
    expect(await stage.ready()).to.equal(0);
  });
}
