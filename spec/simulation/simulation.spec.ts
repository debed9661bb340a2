import { expect } from 'chai';
import { FORMS, type Plan } from './plan.js';
import { simulate } from './simulate.js';

/** As many as a minute of `npm test` has room for; `npm run simulate -- --seeds 1000000` plays more. */
const HISTORIES = 1_500;

async function failures(first: number, change: (plan: Plan) => Plan): Promise<string[]> {
  const found: string[] = [];
  for (let seed = first; seed < first + HISTORIES; seed++) {
    const { faults } = await simulate(seed, change);
    if (faults.length > 0) found.push(`seed ${seed}: ${faults.join('; ')}`);
  }
  return found;
}

describe('simulated histories of the client and the worker', () => {
  // The same seeds in every run, so that a failure is the change's; `npm run simulate` plays others.
  const first = Number(process.env['SOLOTASK_SEED'] ?? 1);

  it(`keep what each strategy promises, whatever fails (seeds from ${first})`, async function () {
    this.timeout(60_000);
    expect(await failures(first, (plan) => plan)).to.deep.equal([]);
  });

  it(`keep what coalesce promises, whatever fails (seeds from ${first})`, async function () {
    this.timeout(60_000);
    expect(await failures(first, FORMS.coalesce)).to.deep.equal([]);
  });

  it(`keep what discard promises when claims come late (seeds from ${first})`, async function () {
    this.timeout(60_000);
    expect(await failures(first, FORMS.late)).to.deep.equal([]);
  });

  it('are the same when they are played again', async () => {
    const [one, other] = [await simulate(4711), await simulate(4711)];
    expect(one.lines).to.deep.equal(other.lines).and.not.have.length(0);
  });
});
