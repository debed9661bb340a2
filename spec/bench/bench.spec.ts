import { expect } from 'chai';
import { bench, listed, played } from '../support/bench.js';

describe('npm run bench', () => {
  it('plays its main rows on solotask and on the floor', async () => {
    const rows = await played('--quick');
    expect(rows).to.have.length(5);
    for (const { name, series, checks } of rows) {
      expect(series, name).to.have.all.keys('solotask', 'floor');
      expect(checks, name).to.have.length(1);
    }
  }).timeout(60_000);

  it('plays the work of unique tasks with a lock by hand, and no other row', async () => {
    const rows = await played('--only', 'unique', '--sides', 'ours,hand');
    const sides = Object.fromEntries(rows.map(({ name, series }) => [name, Object.keys(series)]));
    expect(sides).to.deep.equal({ 'enqueue, unique': ['solotask'], 'work, unique': ['solotask', 'by hand'] });
    expect(rows.at(-1)?.checks).to.have.length(1);
  }).timeout(60_000);

  it('plays bursts and single tasks', async () => {
    expect(await played('--only', 'burst', '--only', 'idle')).to.have.length(5);
  }).timeout(60_000);

  it('plays the rows that are asked for', async () => {
    expect(await listed('--only', 'idle')).to.deep.equal(['latency, idle, p50', 'latency, idle, p99']);
    expect(await listed('--quick')).to.have.length.below((await listed()).length);
  });

  it('says what it does not know', async () => {
    const none = await bench('--only', 'lunch');
    expect(none).to.have.property('code', 1);
    expect(none.output).to.contain("no row has 'lunch' in its name; the rows: enqueue, plain;");
    expect((await bench('--sides', 'ours,sidekiq')).output).to.contain("not 'sidekiq'");
    expect((await bench('--rounds', '0')).output).to.contain("--rounds takes a whole number above 0, not '0'");
  });
});
