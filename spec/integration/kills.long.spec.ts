import { expect } from 'chai';
import { pause, systemClock } from '../../lib/clock.js';
import { Random } from '../simulation/random.js';
import { eventually } from '../support/eventually.js';
import { type RabbitServer, startRabbit, testRedisUrl, uniqueName } from '../support/servers.js';
import { UniqueLoad, whatIsLeft } from '../support/unique-load.js';

/** Another history each time; to see one again, set it here. */
const SEED = Date.now() % 1_000_000;
const KILLS = 5;
/** ms; what a quorum queue was told right before the first kill of its life may be lost. */
const SETTLE = 6_000;
/** ms; an at-least-once queue may stand still for 180 s after a crash. */
const PATIENCE = 240_000;

describe('a RabbitMQ that is killed and restarted five times under load', () => {
  let server: RabbitServer;
  before(async () => (server = await startRabbit()));
  after(() => server.stop());

  it(`loses no task, although delayed ones fall due meanwhile, and none is finished twice (seed ${SEED})`, async function () {
    this.timeout(900_000);
    const random = new Random(SEED);
    const place = { seed: SEED, namespace: uniqueName('kills'), queue: uniqueName('kills'), locks: testRedisUrl() };
    const load = new UniqueLoad(place);
    const producer = load.app(server.url);
    for (let i = 0; i < 2; i += 1) await load.work(server.url, 20);
    await producer.connect();
    await pause(systemClock, SETTLE);

    const over = new AbortController();
    const calls = new Set<Promise<void>>();
    const produce = async (): Promise<void> => {
      for (let number = 0; !over.signal.aborted; number += 1) {
        const delay = random.chance(0.5) ? Math.round(random.between(1_000, 12_000)) : 0;
        const call = load.enqueue(producer, number, { delay }).finally(() => calls.delete(call));
        calls.add(call);
        await pause(systemClock, random.between(5, 35), over.signal);
      }
    };
    const producing = produce();
    for (let kill = 0; kill < KILLS; kill += 1) {
      await pause(systemClock, random.between(SETTLE, SETTLE + 3_000));
      await server.kill('SIGKILL');
      await pause(systemClock, random.between(0, 3_000));
      await server.restart();
    }
    await pause(systemClock, SETTLE);
    over.abort();
    await producing;
    await Promise.all(calls);
    const calm = performance.now();
    await eventually(() => expect(load.open).to.equal(0), { timeout: PATIENCE });
    const late = (performance.now() - calm) / 1_000;
    await load.settled(server.url, PATIENCE);
    await load.close();
    console.log(
      `      ${load.promised.size} tasks, the last ${late.toFixed(1)} s after the load; ${load.refused.size} refusals`,
    );
    expect([...load.finished].filter(([, times]) => times !== 1)).to.deep.equal([]);
    expect(await whatIsLeft(server.url, place)).to.deep.equal([]);
  });
});
