import { runThroughCuts } from './cuts.js';

/** Another history each time; to see one again, set it here. */
const SEED = Date.now() % 1_000_000;

describe('connections to RabbitMQ that are cut at random', () => {
  it(`lose none of 1,500 unique tasks, finish none twice and leave none (seed ${SEED})`, async function () {
    this.timeout(120_000);
    await runThroughCuts(1_500, SEED);
  });
});
