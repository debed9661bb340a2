import { expect } from 'chai';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../support/doc-examples.js';

interface Numbers {
  readonly first: number;
  readonly operations: number;
  readonly warm?: number;
}

/** What of bench/ is used here. */
interface Books {
  Tally: new (numbers: Numbers) => { count(i: number): void; complete: Promise<void>; read(): { value: number } };
  time: (numbers: Numbers, operate: (i: number) => Promise<void>) => Promise<{ value: number }>;
  readonly verdict: (calls: object, runs: object, covered: boolean) => object;
}

const load = async (name: string): Promise<Books> =>
  (await import(pathToFileURL(join(ROOT, 'bench', name)).href)) as Books;

describe('the books of the benchmark', () => {
  it('refuse a task that ran twice, and one of another row', async () => {
    const { Tally } = await load('measure.js');
    const tally = new Tally({ first: 10, operations: 2 });
    tally.count(10);
    tally.count(11);
    await tally.complete;
    expect(tally.read()).to.have.property('value').that.is.above(0);
    tally.count(11);
    expect(() => tally.read()).to.throw('1 of 2 tasks ran more than once');
    expect(() => tally.count(12)).to.throw('of another row');
  });

  it('wait for a task that was lost, however often another one runs', async () => {
    const { Tally } = await load('measure.js');
    const tally = new Tally({ first: 0, operations: 2 });
    tally.count(0);
    tally.count(0);
    expect(await Promise.race([tally.complete.then(() => 'complete'), Promise.resolve('waits')])).to.equal('waits');
  });

  it('take every task, and no time of those that warm up', async () => {
    const { Tally, time } = await load('measure.js');
    const pause = 200;
    const tally = new Tally({ first: 5, operations: 3, warm: 1 });
    tally.count(5);
    await sleep(pause);
    tally.count(6);
    tally.count(7);
    await tally.complete;
    // With the pause two tasks would be ten a second.
    expect(tally.read().value).to.be.above(2_000 / pause);
    const taken: number[] = [];
    const { value } = await time({ first: 5, operations: 3, warm: 1 }, async (i) => {
      if (taken.push(i) === 1) await sleep(pause);
    });
    expect(taken).to.deep.equal([5, 6, 7]);
    expect(value).to.be.above(2_000 / pause);
  });

  describe('of a burst', () => {
    const calls = { begin: 1_000, called: [1_010, 1_020], accepted: 2, figures: { value: 5 } };
    const runs = { started: [1_015, 1_025], count: 2, met: 0, last: 1_500 };
    let verdict: Books['verdict'];
    before(async () => ({ verdict } = await load('burst.js')));

    it('give the rate, the runs and the time to quiet', () => {
      expect(verdict(calls, runs, true)).to.deep.equal({ accepted: { value: 5 }, runs: 2, quiet: 0.5 });
    });

    it('refuse a key that never ran, two runs of one at a time, and runs that nobody enqueued', () => {
      expect(() => verdict(calls, { ...runs, started: [1_015, 0] }, false)).to.throw('1 keys of 2 never ran');
      expect(() => verdict(calls, { ...runs, met: 3 }, false)).to.throw('3 runs began while another');
      expect(() => verdict(calls, { ...runs, count: 3 }, false)).to.throw('3 runs of 2 tasks');
    });

    it('refuse a last event without a run after it, where one was promised', () => {
      const early = { ...runs, started: [1_015, 1_019] };
      expect(() => verdict(calls, early, true)).to.throw('1 keys did not run after their last event');
      expect(verdict(calls, early, false)).to.have.property('runs', 2);
    });
  });
});
