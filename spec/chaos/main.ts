/**
 * `npm run chaos -- --seconds 900`: producers and workers on a real RabbitMQ and three real Redis, while processes are
 * killed and paused, servers restarted and connections cut. Books outside of it all tell what was promised and what came.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startServers } from '#servers';
import { pause, systemClock } from '../../lib/clock.js';
import { Random } from '../simulation/random.js';
import { startProxy } from '../support/tcp-proxy.js';
import { readLedgers } from './books.js';
import { Chronicle, dismiss, Seat } from './crew.js';
import { farFaults, nearFaults, striking, type Victims } from './faults.js';
import { judge } from './findings.js';
import { calmRound, deadLetters, immortalKeys, waiting } from './rest.js';
import { LEASE } from './service.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    producers: { type: 'string', default: '2' },
    workers: { type: 'string', default: '3' },
    keys: { type: 'string', default: '20' },
    nodes: { type: 'string', default: '3' },
    /** Only faults whose names have this text in them. */
    only: { type: 'string', default: '' },
  },
});
const seed = Number(values.seed);
const seconds = Number(values.seconds);
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const mutter = (text: string): void => void process.stderr.write(text);

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());

/** How long messages may take to their end when all is calm: a delay queue of a broker that crashed may stand still. */
const PATIENCE = 300_000;
/** A quorum queue tells its length every five seconds or so: empty is what stays empty for longer. */
const STILL = 12_000;

const folder = mkdtempSync(join(tmpdir(), 'solotask-chaos-'));
const servers = await startServers({ rabbit: 1, redis: Number(values.nodes) });
const amqp = await startProxy(servers.amqpUrl);
const redis = await Promise.all(servers.redisUrls.map((url) => startProxy(url)));
const chronicle = new Chronicle();
const env = {
  BOOKS: folder,
  NAMESPACE: 'chaos',
  KEYS: values.keys,
  AMQP_URL: amqp.url,
  REDIS_URL: redis.map(({ url }) => url).join(','),
};
const seats = (role: 'producer' | 'worker', count: string): Seat[] =>
  Array.from({ length: Number(count) }, () => new Seat(role, env, chronicle));
const victims: Victims = {
  producers: seats('producer', values.producers),
  workers: seats('worker', values.workers),
  servers,
  amqp,
  redis,
  forgot: [],
};
const everybody = [...victims.workers, ...victims.producers];
const survived = new Map<string, number>();

async function play(): Promise<void> {
  for (const seat of everybody) seat.start();
  // A broker may lose what it was told just before it was killed for the first time: queues settle.
  await pause(systemClock, 6_000, interrupted.signal);
  const over = new AbortController();
  const begin = performance.now();
  const tell = (name: string): void => {
    survived.set(name, (survived.get(name) ?? 0) + 1);
    mutter(`${((performance.now() - begin) / 1_000).toFixed(1).padStart(7)} s  ${name}\n`);
  };
  const asked = (list: ReturnType<typeof nearFaults>) => list.filter(({ name }) => name.includes(values.only));
  const strikers = [nearFaults(victims), farFaults(victims)].map((faults, i) =>
    striking(asked(faults), new Random(seed * 2 + i), tell, over.signal),
  );
  await pause(systemClock, seconds * 1_000, interrupted.signal);
  over.abort();
  await Promise.all(strikers);
}

/** Nobody calls any more, and nobody is hurt. */
async function comeToRest(): Promise<string[]> {
  await dismiss(victims.producers, 30_000);
  await emptied();
  await pause(systemClock, LEASE + 6_000, interrupted.signal);
  const held = await calmRound(servers, folder, Number(values.keys));
  const left = await emptied();
  const codes = await dismiss(victims.workers, 40_000);
  return [
    ...held,
    ...(left > 0 ? [`${left} messages are left`] : []),
    ...codes.flatMap((code) => (code === 0 ? [] : [`a worker that was asked to stop ended with ${code}`])),
    ...(await immortalKeys(servers)),
    ...chronicle.collapses,
  ];
}

async function emptied(): Promise<number> {
  const end = Date.now() + PATIENCE;
  for (let seen = Date.now(); ;) {
    const left = await waiting(servers);
    if (left > 0) seen = Date.now();
    const still = Date.now() - seen > STILL;
    if (still || Date.now() > end || interrupted.signal.aborted) return left;
    if (left > 0) mutter(`${left} messages are left\n`);
    await pause(systemClock, 2_000, interrupted.signal);
  }
}

async function report(unrest: readonly string[]): Promise<void> {
  const dead = await deadLetters(servers);
  const ledgers = readLedgers(folder, { deaths: chronicle.deaths, dead });
  const { found, limits } = judge(ledgers, { naps: chronicle.naps, forgot: victims.forgot });
  const calls = [...ledgers.values()].flatMap((ledger) => ledger.calls);
  const bodies = [...ledgers.values()].flatMap((ledger) => ledger.bodies);
  const faults = [...survived.values()].reduce((sum, count) => sum + count, 0);
  say(`seed ${seed}, ${seconds} s, ${values.nodes} Redis: ${faults} faults survived`);
  table(survived);
  say(`${calls.length} calls, as their callers were told`);
  table(counts(calls.map(({ status }) => status)));
  say(`${bodies.length} runs, by how they ended; ${dead.size} dead letters`);
  table(counts(bodies.map(({ end }) => end)));
  say(
    `${limits.length} within the limits that docs/guarantees.md names${limits.map((text) => `\n       ${text}`).join('')}`,
  );
  const all = [...unrest, ...found];
  say(all.length === 0 ? 'nothing lost, nothing at once' : `FOUND ${all.length}, books in ${folder}`);
  for (const text of all.slice(0, 50)) say(`       ${text}`);
  if (all.length > 0) process.exitCode = 1;
  else rmSync(folder, { recursive: true });
}

function counts(names: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const name of names) found.set(name, (found.get(name) ?? 0) + 1);
  return found;
}

function table(rows: ReadonlyMap<string, number>): void {
  for (const [name, count] of [...rows].sort(([one], [other]) => one.localeCompare(other)))
    say(`${String(count).padStart(6)} ${name}`);
}

say(`seed ${seed}`);
try {
  await play();
  const unrest = interrupted.signal.aborted ? [] : await comeToRest();
  if (!interrupted.signal.aborted) await report(unrest);
  else say(`interrupted; books in ${folder}`);
  if (interrupted.signal.aborted) process.exitCode = 130;
} finally {
  await Promise.all(everybody.map((seat) => seat.end('SIGKILL')));
  await Promise.all([amqp, ...redis].map((proxy) => proxy.close()));
  await servers.stop();
}
