import { expect } from 'chai';
import { Equivalence } from './equivalence.js';
import { EXPECTED } from './expected.js';
import type { Nodes } from './nodes.js';
import { redisNodes } from './redis-nodes.js';

/** How much is asked of the guards. */
export interface Proof {
  readonly seed: number;
  readonly runs: number;
  /** ms */
  readonly timeout: number;
  /** Every kind of answer and of change has to be seen. */
  readonly exhaustive: boolean;
}

/** Declares the proof for one node and for three; the seed of a failure, given as SOLOTASK_SEED, plays it again. */
export function equivalence({ seed, runs, timeout, exhaustive }: Proof): void {
  for (const [name, count] of [
    ['one node', 1],
    ['three nodes', 3],
  ] as const) {
    describe(`the guard in memory and the guard on Redis, ${name}`, () => {
      let redis: Nodes;
      before(async () => {
        redis = await redisNodes(count);
      });
      after(() => redis.close());

      it(`give the same answers to the same commands, and have the same records (${runs} times, seed ${seed})`, async () => {
        const both = new Equivalence(redis);
        await both.prove({ seed, runs });
        const unseen = (exhaustive ? EXPECTED : []).filter((kind) => !both.seen.has(kind));
        expect(unseen, 'kinds of answers and changes that no command has shown').to.deep.equal([]);
      }).timeout(timeout);
    });
  }
}
