import { runThroughCuts } from './cuts.js';

/** Another history each time; to see one again, set it here. */
const SEED = Date.now() % 1_000_000;

describe('connections to RabbitMQ that are cut at random', () => {
  it(`lose none of 8,000 unique tasks, finish none twice and leave none (seed ${SEED})`, async function () {
    this.timeout(600_000);
    const { cuts, seconds } = await runThroughCuts(8_000, SEED);
    console.log(`      ${cuts} cuts in ${seconds.toFixed(1)} s`);
  });
});
