import type { AppSettings, RedisClient } from './app-options.js';
import type { Clock } from '../clock.js';
import { ConfigError } from '../errors.js';
import type { Guard } from '../guard.js';
import type { Rehearsal } from './rehearsal.js';
import type { ResultBackend } from '../result-backend.js';
import type { Transport } from '../transport.js';

/** What an adapter is opened with, besides its address. */
export interface AdapterParts {
  readonly namespace: string;
  readonly clock: Clock;
  readonly connectionName: string;
  /** What `'memory:'` stands for under test. @default parts of the app's own */
  readonly rehearsal?: Rehearsal | undefined;
}

/** The transport that `broker` asks for. Drivers are loaded here, when they are asked for, and nowhere else. */
export async function openTransport(broker: AppSettings['broker'], parts: AdapterParts): Promise<Transport> {
  if (typeof broker === 'object') return broker;
  if (broker === undefined || broker === '') {
    throw absent('broker', 'AMQP_URL', 'amqp://user:password@host:5672/vhost');
  }
  if (broker === 'memory:') {
    if (parts.rehearsal !== undefined) return parts.rehearsal.transport;
    const { createMemoryTransport } = await import('../transports/memory.js');
    return createMemoryTransport(parts);
  }
  if (/^amqps?:\/\//.test(broker)) {
    const { createRabbitTransport } = await import('../transports/rabbitmq.js');
    return createRabbitTransport({ ...parts, url: broker });
  }
  throw new ConfigError(
    `broker must begin with amqp:// or amqps://, or be 'memory:' (scheme given: ${scheme(broker)})`,
    {
      option: 'broker',
    },
  );
}

/** The guard that `locks` asks for. */
export async function openGuard(locks: AppSettings['locks'], parts: AdapterParts): Promise<Guard> {
  if (locks === undefined || locks === '') {
    throw absent('locks', 'REDIS_URL', 'redis://host:6379');
  }
  if (locks === 'memory:') {
    if (parts.rehearsal !== undefined) return parts.rehearsal.guard;
    const { createMemoryGuard } = await import('../guards/memory.js');
    return createMemoryGuard(parts);
  }
  if (isGuard(locks)) return locks;
  const nodes = Array.isArray(locks) ? (locks as (string | RedisClient)[]) : [locks as string | RedisClient];
  for (const node of nodes) checkNode(node);
  const { createRedlockGuard } = await import('../guards/redlock.js');
  type Nodes = Parameters<typeof createRedlockGuard>[0]['nodes'];
  return createRedlockGuard({ nodes: nodes as Nodes, clock: parts.clock });
}

/** The results that `results` asks for; undefined when they are off. */
export async function openResults(
  { results, locks }: Pick<AppSettings, 'results' | 'locks'>,
  { clock }: AdapterParts,
): Promise<ResultBackend | undefined> {
  if (results === undefined || results === false) return undefined;
  // Not by `wait`: an ioredis client has that, too.
  if (typeof results === 'object' && 'store' in results) return results;
  const place = results === true ? besideLocks(locks) : results;
  if (place === 'memory:') {
    const { createMemoryResults } = await import('../results/memory.js');
    return createMemoryResults({ clock });
  }
  const { createRedisResults } = await import('../results/redis.js');
  type Place = Parameters<typeof createRedisResults>[0]['redis'];
  return createRedisResults({ redis: place as Place, clock });
}

/** Results are kept in one place: of several, and of a guard that keeps its own to itself, somebody has to choose. */
function besideLocks(locks: AppSettings['locks']): string | RedisClient {
  const [node, ...others] = Array.isArray(locks) ? (locks as (string | RedisClient)[]) : [locks];
  if (node !== undefined && others.length === 0 && !isGuard(node)) return node as string | RedisClient;
  throw new ConfigError(
    "results: true keeps results where the locks are, which here is not one Redis: name one, results: 'redis://host:6379'",
    { option: 'results' },
  );
}

/** In code the environment counts only where the code says so: only task-worker looks there by itself. */
const absent = (option: 'broker' | 'locks', variable: string, form: string): ConfigError =>
  new ConfigError(
    `the app has no ${option}: write ${option}: process.env.${variable} in createApp, and set ${variable} (${form})`,
    { option },
  );

/** Locks that one process sees cannot guard a queue that many consume. */
export function checkPair({ broker, locks }: Pick<AppSettings, 'broker' | 'locks'>): void {
  if (locks !== 'memory:' || typeof broker !== 'string' || broker === 'memory:') return;
  throw new ConfigError(
    "a real broker with locks: 'memory:' is refused: other processes would not see the locks; set REDIS_URL",
    {
      option: 'locks',
    },
  );
}

function isGuard(locks: unknown): locks is Guard {
  return typeof locks === 'object' && locks !== null && 'claimRunning' in locks;
}

function checkNode(node: unknown): void {
  if (typeof node === 'string' && /^rediss?:\/\//.test(node)) return;
  if (typeof node === 'object' && node !== null && 'duplicate' in node) return;
  const given = typeof node === 'string' ? `scheme given: ${scheme(node)}` : `given: ${typeof node}`;
  throw new ConfigError(`locks must be a redis:// or rediss:// URL, an ioredis client, or 'memory:' (${given})`, {
    option: 'locks',
  });
}

/** Never the whole text: it may hold a password. */
const scheme = (url: string): string => /^[a-z][\w+.-]*:/i.exec(url)?.[0] ?? 'none';
