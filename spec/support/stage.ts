import {
  createApp,
  type App,
  type EventName,
  type Frame,
  type Guard,
  type LockRecord,
  type ResultBackend,
  type Transport,
} from 'solotask';
import amqplib from 'amqplib';
import { Redis } from 'ioredis';
import { systemClock, type Clock } from '../../lib/clock.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { createRedlockGuard } from '../../lib/guards/redlock.js';
import { createMemoryResults, MemoryResults } from '../../lib/results/memory.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';
import { deadQueue } from '../../lib/transport.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from './servers.js';
import { startProxy } from './tcp-proxy.js';

/** How many events of some kinds an app has emitted. */
export interface Count {
  readonly total: number;
}

/** What a spec does to an app's parts. */
export interface AppSpies {
  onPublish?: (queue: string) => void;
  /** Awaited before each call of the app's guard; what it gives besides undefined is the answer instead. */
  before?: (method: keyof Guard, args: readonly unknown[]) => unknown;
  clock?: Clock;
  /** Instead of those that all apps of the test share. */
  locks?: string;
  /** `true`: kept where all apps of the test look. */
  results?: boolean | ResultBackend;
  /** ms */
  publishTimeout?: number;
}

/** The parts on which a spec plays: memory, or real RabbitMQ and Redis. */
interface Parts {
  links(): { broker: string | Transport; locks: Redis | Guard };
  /** What `results` of createApp is given, so that one app reads what another keeps. */
  results(): true | ResultBackend;
  /** An own transport and guard, to look at queues and records. */
  observe(): { transport: Transport; guard: Guard };
  publish(queue: string, frame: Frame): Promise<void>;
  removeQueue(queue: string): Promise<void>;
  dropConnections(): Promise<void>;
  stopBroker(): void;
  startBroker(): void;
  close(): Promise<void>;
}

/** One for all tests: each namespace has some twenty quorum queues for delays, and the broker pays for every one. */
const NAMESPACE = uniqueName('spec');

/** What a spec sees of them. Fresh for each test: a queue of its own, and locks that no other test sees. */
export class Stage {
  queue = '';
  #parts: Parts | undefined;
  #observer: { transport: Transport; guard: Guard } | undefined;
  #apps: App[] = [];

  async open(make: () => Promise<Parts>): Promise<void> {
    this.queue = uniqueName('queue');
    this.#parts = await make();
    this.#observer = this.#parts.observe();
    await Promise.all([this.#observer.transport.connect(10_000), this.#observer.guard.connect(10_000)]);
    await this.#observer.transport.declare([{ name: this.queue }]);
  }

  async close(): Promise<void> {
    await Promise.all(this.#apps.map((app) => app.close()));
    this.#apps = [];
    await this.#observer?.transport.close();
    await this.#observer?.guard.close();
    await this.#parts?.close();
  }

  /** An app with links of its own, closed after the test. */
  app(services: readonly (abstract new () => object)[], spies: AppSpies = {}): App {
    const { onPublish, before, clock, results = false, publishTimeout = 10_000 } = spies;
    const links = this.parts.links();
    const broker = onPublish === undefined ? links.broker : spied(this.parts.observe().transport, onPublish);
    const locks = before === undefined ? (spies.locks ?? links.locks) : delayed(this.parts.observe().guard, before);
    const kept = results === true ? this.parts.results() : results;
    const app = createApp({ broker, locks, results: kept, services, namespace: NAMESPACE, publishTimeout }, clock);
    this.#apps.push(app);
    return app;
  }

  count(app: App, ...events: EventName[]): Count {
    const count = { total: 0 };
    for (const event of events) app.on(event, () => void count.total++);
    return count;
  }

  /** Messages that wait in the queue. */
  async ready(queue = this.queue): Promise<number> {
    return (await this.observer.transport.figures(queue)).ready;
  }

  /** A message as a foreign producer sends it. */
  publish(frame: Frame): Promise<void> {
    return this.parts.publish(this.queue, frame);
  }

  /** The dead letters of the queue; they stay there. */
  dead(): Promise<readonly Frame[]> {
    return this.messages(deadQueue(this.queue));
  }

  /** The messages that wait in a queue; nobody else gets them until the test has ended. */
  async messages(queue = this.queue): Promise<readonly Frame[]> {
    const { transport } = this.observer;
    const { ready } = await transport.figures(queue);
    const frames: Frame[] = [];
    await new Promise<void>((resolve, reject) => {
      if (ready === 0) return resolve();
      const deliver = (delivery: { frame: Frame }): void => {
        if (frames.push(delivery.frame) === ready) resolve();
      };
      transport.consume(queue, ready, { deliver, lost: () => reject(new Error('lost')) }).catch(reject);
    });
    return frames;
  }

  /** The record of a key; undefined when there is none. */
  record(task: string, key: string): Promise<LockRecord | undefined> {
    return this.observer.guard.read(`${NAMESPACE}:lock:${task}:${key}`);
  }

  /** From now on nobody takes what is published there. */
  removeQueue(queue = this.queue): Promise<void> {
    return this.parts.removeQueue(queue);
  }

  restoreQueue(): Promise<void> {
    return this.declare(this.queue);
  }

  /** A queue that no app of the test knows. */
  declare(name: string): Promise<void> {
    return this.observer.transport.declare([{ name }]);
  }

  /** Cuts every link of the apps to the broker; they connect again by themselves. */
  dropConnections(): Promise<void> {
    return this.parts.dropConnections();
  }

  /** The apps cannot reach the broker until it is started again; what was published stays. */
  stopBroker(): void {
    this.parts.stopBroker();
  }

  startBroker(): void {
    this.parts.startBroker();
  }

  private get parts(): Parts {
    if (this.#parts === undefined) throw new Error('the stage is used outside a test');
    return this.#parts;
  }

  private get observer(): { transport: Transport; guard: Guard } {
    if (this.#observer === undefined) throw new Error('the stage is used outside a test');
    return this.#observer;
  }
}

/** The same guard, each of whose calls waits until `before` lets it go (or answers it). */
function delayed(guard: Guard, before: NonNullable<AppSpies['before']>): Guard {
  const get = (_: object, name: string): unknown => {
    const method: unknown = Reflect.get(guard, name);
    if (typeof method !== 'function') return method;
    if (name === 'listen') return (...args: unknown[]): unknown => Reflect.apply(method, guard, args);
    return async (...args: unknown[]): Promise<unknown> => {
      const answer = await before(name as keyof Guard, args);
      return answer ?? Reflect.apply(method, guard, args);
    };
  };
  return new Proxy(guard, { get: get as never });
}

/** The same transport, which tells of every publish. */
function spied(transport: Transport, onPublish: (queue: string) => void): Transport {
  const get = (_: object, name: string): unknown => {
    const method: unknown = Reflect.get(transport, name);
    if (typeof method !== 'function') return method;
    return (...args: [{ queue: string }]): unknown => {
      if (name === 'publish') onPublish(args[0].queue);
      return Reflect.apply(method, transport, args);
    };
  };
  return new Proxy(transport, { get: get as never });
}

async function memoryParts(): Promise<Parts> {
  const clock = systemClock;
  const broker = new MemoryBroker(clock);
  const store = new MemoryLocks();
  const results = new MemoryResults();
  const transport = (): Transport => createMemoryTransport({ clock, broker });
  return {
    links: () => ({ broker: transport(), locks: createMemoryGuard({ clock, store }) }),
    results: () => createMemoryResults({ clock, store: results }),
    observe: () => ({ transport: transport(), guard: createMemoryGuard({ clock, store }) }),
    publish: async (queue, frame) => {
      const once = transport();
      await once.connect(1_000);
      await once.publish({ queue, frame, timeout: 1_000 });
      await once.close();
    },
    removeQueue: async (queue) => broker.remove(queue),
    dropConnections: async () => broker.dropConnections(),
    stopBroker: () => broker.stop(),
    startBroker: () => broker.start(),
    close: async () => {},
  };
}

async function onRawChannel(use: (channel: amqplib.ConfirmChannel) => Promise<void>): Promise<void> {
  const connection = await amqplib.connect(testAmqpUrl());
  const channel = await connection.createConfirmChannel();
  await use(channel);
  await channel.close();
  await connection.close();
}

async function serverParts(): Promise<Parts> {
  const proxy = await startProxy(testAmqpUrl());
  const clock = systemClock;
  const redis = new Redis(testRedisUrl(), { keyPrefix: `${uniqueName('test')}:`, lazyConnect: true });
  const observed = { url: testAmqpUrl(), namespace: NAMESPACE, clock, connectionName: 'observer' };
  return {
    links: () => ({ broker: proxy.url, locks: redis }),
    results: () => true,
    observe: () => ({
      transport: createRabbitTransport(observed),
      guard: createRedlockGuard({ nodes: [redis], clock }),
    }),
    publish: (queue, { properties, headers, body }) =>
      onRawChannel(async (channel) => {
        channel.sendToQueue(queue, body, { ...properties, headers: { ...headers } });
        await channel.waitForConfirms();
      }),
    removeQueue: (queue) => onRawChannel(async (channel) => void (await channel.deleteQueue(queue))),
    dropConnections: async () => proxy.cut(),
    stopBroker: () => {
      proxy.refuse(true);
      proxy.cut();
    },
    startBroker: () => proxy.refuse(false),
    close: () => proxy.close(),
  };
}

const STAGES = { 'on memory parts': memoryParts, 'on RabbitMQ and Redis': serverParts };

/** Runs the same specs on memory parts and on real servers. */
export function onEveryStage(title: string, specs: (stage: Stage) => void): void {
  for (const [name, make] of Object.entries(STAGES)) {
    describe(`${title}, ${name}`, () => {
      const stage = new Stage();
      beforeEach(() => stage.open(make));
      afterEach(() => stage.close());
      specs(stage);
    });
  }
}
