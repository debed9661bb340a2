/**
 * `npm run chaos -- --seconds 300`: producers and workers on a real RabbitMQ and three real Redis, while processes are
 * killed and paused, servers restarted and connections cut. Books outside of it all tell what was promised and what came.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startServers } from '#servers';
import amqplib from 'amqplib';
import { pause, systemClock } from '../../lib/clock.js';
import { Random } from '../simulation/random.js';
import { meetings, uncovered } from '../simulation/verdict.js';
import { startProxy } from '../support/tcp-proxy.js';
import { Books } from './books.js';
import { LEASE, QUEUE } from './service.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    producers: { type: 'string', default: '2' },
    workers: { type: 'string', default: '3' },
    keys: { type: 'string', default: '20' },
    nodes: { type: 'string', default: '3' },
  },
});
const random = new Random(Number(values.seed));
const namespace = `chaos${process.pid}`;
const folder = mkdtempSync(join(tmpdir(), 'solotask-chaos-'));
const file = join(folder, 'books.db');
const books = new Books(file);
const say = (text: string): void => void process.stdout.write(`${text}\n`);
const rest = (ms: number): Promise<void> => pause(systemClock, ms);

const servers = await startServers({ rabbit: 1, redis: Number(values.nodes) });
const proxy = await startProxy(servers.amqpUrl);

/** A process that is started again when it was killed. */
class Seat {
  readonly #role: 'producer' | 'worker';
  #lives = 0;
  #name = '';
  #child: ChildProcess | undefined;

  constructor(role: 'producer' | 'worker') {
    this.#role = role;
  }

  start(): void {
    this.#name = `${this.#role} ${++spawned}.${++this.#lives}`;
    const env = {
      ...process.env,
      ROLE: this.#role,
      NAME: this.#name,
      BOOKS: file,
      NAMESPACE: namespace,
      KEYS: values.keys,
      AMQP_URL: proxy.url,
      REDIS_URL: servers.redisUrls.join(','),
    };
    this.#child = fork(new URL('member.js', import.meta.url), { env });
  }

  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return null;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
    if (signal === 'SIGKILL') books.died(this.#name);
    return child.exitCode;
  }

  async pause(ms: number): Promise<void> {
    const child = this.#child;
    child?.kill('SIGSTOP');
    await rest(ms);
    child?.kill('SIGCONT');
  }
}
let spawned = 0;

const producers = Array.from({ length: Number(values.producers) }, () => new Seat('producer'));
const workers = Array.from({ length: Number(values.workers) }, () => new Seat('worker'));
for (const seat of [...workers, ...producers]) seat.start();

const survived: Record<string, number> = {};

/** What can happen, each with its weight. A restart of RabbitMQ is rare: its delay queues take their time. */
const FAULTS: readonly (readonly [name: string, weight: number, strike: () => Promise<void>])[] = [
  ['worker killed', 6, () => restart(random.pick(workers))],
  ['producer killed', 3, () => restart(random.pick(producers))],
  ['worker paused', 3, () => random.pick(workers).pause(random.between(200, LEASE * 2))],
  ['AMQP connections cut', 5, async () => proxy.cut()],
  ['Redis paused', 3, redisPaused],
  ['Redis restarted empty', 2, redisRestarted],
  ['RabbitMQ killed and restarted', 0.3, rabbitRestarted],
];

async function restart(seat: Seat): Promise<void> {
  await seat.end('SIGKILL');
  await rest(random.between(0, 500));
  seat.start();
}

async function redisPaused(): Promise<void> {
  const redis = random.pick(servers.redis);
  await redis.kill('SIGSTOP');
  await rest(random.between(100, 1_500));
  await redis.kill('SIGCONT');
}

/** Without persistence it has to stay away for longer than a lease. */
async function redisRestarted(): Promise<void> {
  const redis = random.pick(servers.redis);
  await redis.kill('SIGKILL');
  await rest(LEASE + 500);
  await redis.restart();
}

async function rabbitRestarted(): Promise<void> {
  const [rabbit] = servers.rabbit;
  await rabbit?.kill('SIGKILL');
  await rabbit?.restart();
  await rest(5_000);
}

async function strike(): Promise<void> {
  let draw = random.between(
    0,
    FAULTS.reduce((sum, [, weight]) => sum + weight, 0),
  );
  const fault = FAULTS.find(([, weight]) => (draw -= weight) < 0) ?? FAULTS[0];
  if (fault === undefined) return;
  survived[fault[0]] = (survived[fault[0]] ?? 0) + 1;
  await fault[2]();
}

/** Messages in the work queue and in all of the delay topology. */
async function waiting(): Promise<number> {
  const listed = (await servers.rabbit[0]?.ctl('--quiet', 'list_queues', 'name', 'messages')) ?? '';
  return listed
    .split('\n')
    .map((line) => line.trim().split('\t'))
    .filter(([name = '']) => !name.endsWith('.dead'))
    .reduce((sum, [, count]) => sum + (Number(count) || 0), 0);
}

async function deadLetters(): Promise<Set<string>> {
  const connection = await amqplib.connect(servers.amqpUrl);
  const channel = await connection.createChannel();
  const ids = new Set<string>();
  for (;;) {
    const message = await channel.get(`${QUEUE}.dead`, { noAck: true });
    if (message === false) break;
    ids.add(String(message.properties.headers?.['id']));
  }
  await connection.close();
  return ids;
}

say(`seed ${values.seed}, ${values.seconds} s, ${values.nodes} Redis, books in ${file}`);
const until = Date.now() + Number(values.seconds) * 1_000;
await rest(6_000);
while (Date.now() < until) {
  await strike();
  await rest(random.between(300, 1_500));
  const left = Math.max(0, Math.round((until - Date.now()) / 1_000));
  process.stderr.write(`\r${left} s left, ${books.count('calls')} calls, ${books.count('bodies')} bodies   `);
}
await Promise.all(producers.map((seat) => seat.end('SIGTERM')));
process.stderr.write('\nwaiting for the queues to be empty ');
const patience = Date.now() + 300_000;
while ((await waiting()) > 0 && Date.now() < patience) {
  process.stderr.write('.');
  await rest(2_000);
}
process.stderr.write('\n');
const left = await waiting();
const codes = await Promise.all(workers.map((seat) => seat.end('SIGTERM')));
const dead = await deadLetters();
const found: string[] = left > 0 ? [`${left} messages are left`] : [];
const forgot = 'Redis restarted empty' in survived;
const paused = 'worker paused' in survived;
for (const [key, ledger] of books.ledgers(dead)) {
  const onDuplicate = key.startsWith('coalesce') ? 'coalesce' : 'discard';
  const ordered = onDuplicate === 'coalesce' && !forgot;
  const terms = { onDuplicate, forgot, ordered, mayMeet: paused || (forgot && values.nodes === '1') } as const;
  found.push(...meetings(ledger, terms), ...uncovered(ledger, terms));
}
say(
  `${books.count('calls')} calls, ${books.count('bodies')} bodies, ${dead.size} dead letters; exit codes ${codes.join(' ')}`,
);
for (const [name, count] of Object.entries(survived)) say(`  ${String(count).padStart(4)} × ${name}`);
for (const status of ['enqueued', 'discarded', 'coalesced', 'failed', 'pending']) {
  say(`  ${String(books.count('calls', `status = '${status}'`)).padStart(6)} ${status}`);
}
say(found.length === 0 ? 'nothing lost, nothing at once' : `FOUND ${found.length}:\n${found.slice(0, 50).join('\n')}`);
process.exitCode = found.length === 0 ? 0 : 1;
books.close();
await proxy.close();
await servers.stop();
if (found.length === 0) rmSync(folder, { recursive: true });
