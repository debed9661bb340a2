import { expect } from 'chai';
import { pause, systemClock } from '../../lib/clock.js';
import { Random } from '../simulation/random.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { UniqueLoad, whatIsLeft } from '../support/unique-load.js';

/** What became of it, for people. */
export interface CutReport {
  readonly seed: number;
  readonly tasks: number;
  readonly cuts: number;
  readonly seconds: number;
}

/** Calls under way at a time. */
const WINDOW = 50;
/** ms, until all that was doubled or put back has found its end. */
const REST = 30_000;

/** Tasks between two cuts, on an average. */
const STRIDE = 80;

/** Cuts connections at random places of the load until the signal; half of the time after some answers were lost. */
async function cutting(
  proxies: readonly TcpProxy[],
  load: UniqueLoad,
  random: Random,
  over: AbortSignal,
): Promise<number> {
  let cuts = 0;
  for (let next = 0; !over.aborted; next = load.finished.size + random.between(0, 2 * STRIDE)) {
    while (load.finished.size < next && !over.aborted) await pause(systemClock, 2);
    const proxy = random.pick(proxies);
    if (random.chance(0.5)) {
      proxy.mute();
      await pause(systemClock, random.between(5, 80));
    }
    proxy.cut();
    cuts += 1;
  }
  return cuts;
}

/**
 * Runs so many unique tasks on one producer and two workers, each of whose connections to RabbitMQ are cut at random.
 * Fails when one is lost, finished twice or left.
 */
export async function runThroughCuts(tasks: number, seed: number): Promise<CutReport> {
  const place = { seed, namespace: uniqueName('cuts'), queue: uniqueName('cuts'), locks: testRedisUrl() };
  const load = new UniqueLoad(place);
  const proxies = await Promise.all([1, 2, 3].map(() => startProxy(testAmqpUrl())));
  const [first, ...others] = proxies.map(({ url }) => url) as [string, string, string];
  const producer = load.app(first);
  await Promise.all(others.map((url) => load.work(url, 20)));
  const over = new AbortController();
  const begin = performance.now();
  const cutter = cutting(proxies, load, new Random(seed + 1), over.signal);
  let next = 0;
  const produce = async (): Promise<void> => {
    while (next < tasks) await load.enqueue(producer, next++);
  };
  await Promise.all(Array.from({ length: WINDOW }, produce));
  await eventually(() => expect(load.finished.size).to.equal(tasks), { timeout: 60_000 + tasks * 10 });
  over.abort();
  const cuts = await cutter;
  const seconds = (performance.now() - begin) / 1_000;
  await load.settled(testAmqpUrl(), REST);
  await load.close();
  await Promise.all(proxies.map((proxy) => proxy.close()));
  expect([...load.refused]).to.deep.equal([]);
  expect([...load.finished].filter(([, times]) => times !== 1)).to.deep.equal([]);
  expect(await whatIsLeft(testAmqpUrl(), place)).to.deep.equal([]);
  return { seed, tasks, cuts, seconds };
}
