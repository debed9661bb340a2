import amqplib, { type Channel } from 'amqplib';
import { Redis } from 'ioredis';
import { createApp, Task, taskContext, type App, type AppWorker, type CallOptions, type Transport } from 'solotask';
import { pause, systemClock } from '../../lib/clock.js';
import { deadQueue } from '../../lib/transport.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';
import { RUNGS, rungName, dueName } from '../../lib/transports/rabbitmq-topology.js';
import { Random } from '../simulation/random.js';
import { eventually } from './eventually.js';

/** Where a load runs. */
export interface LoadPlace {
  readonly seed: number;
  readonly namespace: string;
  readonly queue: string;
  readonly locks: string;
}

/** How often a task fails at its first attempt, and how often a message is published twice. */
const FAILING = 0.1;
const TWICE = 0.1;

/** ms; longer than a message that is on its way can be in no queue and no worker's hands. */
const CALM = 1_500;

/**
 * Unique tasks, each with a key of its own, of which some fail at first, and whose messages go out twice now and then as
 * if a confirm had been lost. It counts which were promised and how often each was finished.
 */
export class UniqueLoad {
  readonly place: LoadPlace;
  readonly finished = new Map<number, number>();
  /** Whose caller was told that they are enqueued. */
  readonly promised = new Set<number>();
  /** Why the others were not, with how often. */
  readonly refused = new Map<string, number>();
  readonly #random: Random;
  readonly #apps: App[] = [];
  readonly #workers: AppWorker[] = [];

  constructor(place: LoadPlace) {
    this.place = place;
    this.#random = new Random(place.seed);
  }

  /** An app with links of its own. */
  app(broker: string): App {
    const { namespace, queue, locks } = this.place;
    const [random, finished] = [this.#random, this.finished];
    const failing = new Set<number>();
    const unique = { key: 'number:<number>', lease: '3s', ttl: '5m' } as const;

    /** What it does is to be counted. */
    async function body(number: number): Promise<void> {
      const { signal, attempt } = taskContext();
      await pause(systemClock, random.between(0, 10), signal);
      if (signal.aborted) throw signal.reason;
      if (attempt === 1 && !failing.has(number) && random.chance(FAILING)) {
        failing.add(number);
        throw new Error('no luck at the first attempt');
      }
      finished.set(number, (finished.get(number) ?? 0) + 1);
    }

    class Numbers {
      @Task({ queue, unique, retry: { attempts: 5, delay: 20 } })
      async soon(number: number) {
        return body(number);
      }

      @Task({ queue, unique, retry: { attempts: 5, delay: '1s' } })
      async later(number: number) {
        return body(number);
      }
    }
    const settings = { url: broker, namespace, clock: systemClock, connectionName: 'load' };
    const transport = doubling(createRabbitTransport(settings), random);
    const app = createApp({ broker: transport, locks, namespace, services: [Numbers], publishTimeout: '60s' });
    this.#apps.push(app);
    return app;
  }

  /** Enqueues one; `later` retries by the delay queues. Never rejects. */
  async enqueue(app: App, number: number, options?: CallOptions): Promise<void> {
    const name = number % 2 === 0 ? 'soon' : 'later';
    const definition = app.definitions.find(({ method }) => method === name);
    try {
      const stub = app.tasks(definition?.service as never, options) as unknown as Record<string, Enqueue>;
      const receipt = await stub[name]?.(number);
      if (receipt?.status === 'enqueued') this.promised.add(number);
    } catch (error) {
      const { code } = error as { code: string };
      this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
    }
  }

  /** A worker of an app of its own. */
  async work(broker: string, concurrency: number): Promise<void> {
    const worker = this.app(broker).worker({ concurrency });
    this.#workers.push(worker);
    await worker.start();
  }

  /** Resolves when nothing has been left for a while. */
  async settled(url: string, timeout: number): Promise<void> {
    let since = Infinity;
    const look = async (): Promise<void> => {
      const running = this.#workers.reduce((sum, worker) => sum + worker.running, 0);
      const left = await whatIsLeft(url, this.place);
      const calm = running === 0 && left.length === 0;
      since = calm ? Math.min(since, performance.now()) : Infinity;
      if (performance.now() - since < CALM || !calm) {
        throw new Error(`${running} deliveries in hand; ${left.join(', ')}`);
      }
    };
    await eventually(look, { timeout });
  }

  /** Who was promised and has not been finished. */
  get open(): number {
    let count = 0;
    for (const number of this.promised) if (!this.finished.has(number)) count += 1;
    return count;
  }

  async close(): Promise<void> {
    await Promise.all(this.#apps.splice(0).map((app) => app.close()));
  }
}

type Enqueue = (number: number) => Promise<{ status: string }>;

/** The same transport, some of whose messages go out twice, with one id. */
function doubling(transport: Transport, random: Random): Transport {
  const get = (_: object, name: string): unknown => {
    const method: unknown = Reflect.get(transport, name);
    if (typeof method !== 'function') return method;
    return async (...args: unknown[]): Promise<unknown> => {
      const result: unknown = await Reflect.apply(method, transport, args);
      if (name === 'publish' && random.chance(TWICE)) await Reflect.apply(method, transport, args);
      return result;
    };
  };
  return new Proxy(transport, { get: get as never });
}

/** Looks past everything else: messages in any queue of the load, and keys that are held. */
export async function whatIsLeft(url: string, { namespace, queue, locks }: LoadPlace): Promise<string[]> {
  const due = dueName(namespace);
  const queues = [queue, due, ...RUNGS.map((rung) => rungName(namespace, rung)), deadQueue(queue), deadQueue(due)];
  const left: string[] = [];
  await onRawChannel(url, async (channel) => {
    for (const name of queues) {
      const { messageCount } = await channel.checkQueue(name);
      if (messageCount > 0) left.push(`${messageCount} in ${name}`);
    }
  });
  const redis = new Redis(locks);
  for (const key of await redis.keys(`${namespace}:lock:*`)) {
    const [owner, expiry] = await Promise.all([redis.hget(key, 'o'), redis.pttl(key)]);
    if (owner !== null || expiry < 0) left.push(`${key} is held by ${owner}, expiry ${expiry}`);
  }
  await redis.quit();
  return left;
}

async function onRawChannel(url: string, use: (channel: Channel) => Promise<void>): Promise<void> {
  const connection = await amqplib.connect(url);
  try {
    await use(await connection.createChannel());
  } finally {
    await connection.close();
  }
}
