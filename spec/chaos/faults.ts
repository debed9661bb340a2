import type { Servers } from '#servers';
import { pause, systemClock } from '../../lib/clock.js';
import type { Random } from '../simulation/random.js';
import type { TcpProxy } from '../support/tcp-proxy.js';
import { machineTime } from './books.js';
import type { Seat } from './crew.js';
import { LEASE } from './service.js';

/** What faults happen to. */
export interface Victims {
  readonly producers: readonly Seat[];
  readonly workers: readonly Seat[];
  readonly servers: Servers;
  readonly amqp: TcpProxy;
  readonly redis: readonly TcpProxy[];
  /** When a Redis lost its memory, by machineTime; faults add to it. */
  readonly forgot: number[];
}

/** What can happen, and how often beside the others of its list. */
export interface Fault {
  readonly name: string;
  readonly weight: number;
  strike(random: Random): Promise<void>;
}

const rest = (ms: number): Promise<void> => pause(systemClock, ms);

async function restart(seat: Seat, ms: number): Promise<void> {
  await seat.end('SIGKILL');
  await rest(ms);
  seat.start();
}

/** Processes and connections. */
export const nearFaults = ({ producers, workers, amqp, redis }: Victims): Fault[] => [
  {
    name: 'worker killed',
    weight: 6,
    strike: (random) => restart(random.pick(workers), random.between(0, 500)),
  },
  {
    name: 'producer killed',
    weight: 3,
    strike: (random) => restart(random.pick(producers), random.between(0, 500)),
  },
  { name: 'worker paused', weight: 2, strike: (random) => random.pick(workers).nap(random.between(200, LEASE * 2)) },
  { name: 'producer paused', weight: 1, strike: (random) => random.pick(producers).nap(random.between(200, 7_000)) },
  { name: 'AMQP connections cut', weight: 4, strike: async () => amqp.cut() },
  { name: 'AMQP answers lost, then cut', weight: 3, strike: (random) => silence(amqp, random.between(20, 1_000)) },
  { name: 'Redis connections cut', weight: 3, strike: async (random) => random.pick(redis).cut() },
  {
    name: 'Redis answers lost, then cut',
    weight: 3,
    strike: (random) => silence(random.pick(redis), random.between(20, 1_000)),
  },
];

async function silence(proxy: TcpProxy, ms: number): Promise<void> {
  proxy.mute();
  await rest(ms);
  proxy.cut();
}

/** Servers. A restart of RabbitMQ is rare: its delay queues take their time. */
export const farFaults = ({ servers, forgot }: Victims): Fault[] => [
  { name: 'Redis paused', weight: 6, strike: (random) => pausing(random, [random.pick(servers.redis)]) },
  { name: 'all Redis paused', weight: 1, strike: (random) => pausing(random, servers.redis) },
  {
    name: 'Redis killed, back empty',
    weight: 3,
    // Without persistence it has to stay away for longer than a lease.
    async strike(random) {
      const redis = random.pick(servers.redis);
      await redis.kill('SIGKILL');
      forgot.push(machineTime());
      await rest(LEASE + 500);
      await redis.restart();
    },
  },
  { name: 'RabbitMQ killed', weight: 0.3, strike: () => rabbitBack(servers, 'SIGKILL') },
  { name: 'RabbitMQ restarted', weight: 0.3, strike: () => rabbitBack(servers, 'SIGTERM') },
];

async function pausing(random: Random, victims: Servers['redis']): Promise<void> {
  const ms = random.between(100, 1_500);
  await Promise.all(victims.map((redis) => redis.kill('SIGSTOP')));
  await rest(ms);
  await Promise.all(victims.map((redis) => redis.kill('SIGCONT')));
}

async function rabbitBack({ rabbit: [rabbit] }: Servers, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  await rabbit?.kill(signal);
  await rabbit?.restart();
  await rest(5_000);
}

/** One after the other, by its seed, until the signal; `tell` hears each name. */
export async function striking(
  faults: readonly Fault[],
  random: Random,
  tell: (name: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const sum = faults.reduce((all, { weight }) => all + weight, 0);
  while (!signal.aborted && sum > 0) {
    await pause(systemClock, random.between(300, 1_500), signal);
    if (signal.aborted) return;
    let draw = random.between(0, sum);
    const fault = faults.find(({ weight }) => (draw -= weight) < 0);
    if (fault === undefined) continue;
    tell(fault.name);
    await fault.strike(random);
  }
}
