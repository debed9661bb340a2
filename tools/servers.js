// Private RabbitMQ and Redis servers for the specs, the demo and the benchmark: on free ports of 127.0.0.1, in temporary
// directories, gone when this process is. Servers that run on this machine already are neither used nor touched.
import { performance } from 'node:perf_hooks';
import { startLocalPostgres } from './servers/postgres.js';
import { starters } from './servers/find.js';

const LABELS = { rabbit: 'RabbitMQ', redis: 'Redis' };

const tell = (text) => process.stderr.write(text);

export async function startRedis(options) {
  const [start] = await starters(['redis'], tell);
  return start(options);
}

export async function startRabbit(options) {
  const [start] = await starters(['rabbit'], tell);
  return start(options);
}

/** From a development dependency, so it is never looked for or installed. */
export const startPostgres = () => startLocalPostgres();

const stopAll = (servers) => Promise.all(servers.map((server) => server.stop()));

/** All or none: what has started is stopped when another fails. */
async function startAll(starts) {
  const ends = await Promise.allSettled(starts.map((start) => start()));
  const servers = ends.filter(({ status }) => status === 'fulfilled').map(({ value }) => value);
  const failure = ends.find(({ status }) => status === 'rejected');
  if (failure === undefined) return servers;
  await stopAll(servers);
  throw failure.reason;
}

export async function startServers({ redis = 1, rabbit = 1, quiet = false } = {}) {
  const say = quiet ? () => {} : tell;
  const names = [...Array(rabbit).fill('rabbit'), ...Array(redis).fill('redis')];
  const starts = await starters(names, tell);
  const begin = performance.now();
  if (names.length > 0) say(`Starting private servers (${names.map((name) => LABELS[name]).join(', ')}) ... `);
  const servers = await startAll(starts);
  if (names.length > 0) say(`ready after ${((performance.now() - begin) / 1000).toFixed(1)} s\n`);
  const rabbits = servers.slice(0, rabbit);
  const redises = servers.slice(rabbit);
  const amqpUrl = rabbits[0]?.url ?? '';
  const redisUrls = redises.map(({ url }) => url);
  return {
    rabbit: rabbits,
    redis: redises,
    amqpUrl,
    redisUrls,
    env: { AMQP_URL: amqpUrl, REDIS_URL: redisUrls.join(',') },
    stop: () => stopAll(servers),
  };
}
