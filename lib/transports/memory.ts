import type { Clock } from '../clock.js';
import { BrokerUnavailableError, ClosedError, ConfigError, PublishRefusedError, UnroutableError } from '../errors.js';
import type { Frame } from '../message.js';
import {
  freshCopy,
  type Delivery,
  type DeliveryHandler,
  type Outgoing,
  type Pull,
  type QueueDeclaration,
  type QueueFigures,
  type Relaying,
  type Subscription,
  type Transport,
  type TransportEvents,
  type TransportHealth,
} from '../transport.js';
import { MemoryBroker, type MemoryLink } from './memory-broker.js';
import { expiring, type MemoryConsumer, type MemoryQueue } from './memory-queue.js';
import { settled } from './promises.js';

export { MemoryBroker } from './memory-broker.js';

/** What a memory transport needs to know. */
export interface MemorySettings {
  readonly clock: Clock;
  /** Shared by the transports that shall meet. @default one of its own */
  readonly broker?: MemoryBroker;
}

/** ms; what is due sooner is delivered now, as over RabbitMQ, where the shortest rung holds so long. */
const SHORTEST_DELAY = 1_000;
const SILENT: TransportEvents = { connected() {}, disconnected() {}, blocked() {} };

/** A transport inside the process: real bytes, and the behaviour of the one over RabbitMQ. */
export const createMemoryTransport = ({ clock, broker = new MemoryBroker(clock) }: MemorySettings): Transport =>
  new MemoryTransport(clock, broker);

class MemoryTransport implements Transport, MemoryLink {
  readonly address = 'memory:';
  readonly #clock: Clock;
  readonly #broker: MemoryBroker;
  readonly #subscriptions = new Set<MemorySubscription | MemoryPull>();
  #events = SILENT;
  #relays = 0;
  #up = false;
  #closed = false;

  constructor(clock: Clock, broker: MemoryBroker) {
    this.#clock = clock;
    this.#broker = broker;
  }

  listen(events: TransportEvents): void {
    this.#events = events;
  }

  async connect(timeout: number): Promise<void> {
    this.#refuseClosed();
    await this.#reach(timeout);
    this.#broker.attach(this);
    if (!this.#up) this.restored();
  }

  declare(queues: readonly QueueDeclaration[]): Promise<void> {
    return Promise.resolve().then(() => queues.forEach((queue) => this.#broker.declare(queue)));
  }

  async publish({ queue, frame, due, expires, timeout }: Outgoing): Promise<void> {
    this.#refuseClosed();
    if (this.#broker.down !== undefined) await this.#reach(timeout);
    const outgoing = this.#stamped(frame, due);
    if (due !== undefined && due - this.#clock.now() >= SHORTEST_DELAY) {
      this.#broker.hold(queue, outgoing, due, expires);
      return;
    }
    const data = { queue, id: frame.properties.messageId };
    const outcome = this.#broker.put(queue, expiring(outgoing, expires, this.#clock.now()));
    if (outcome === 'unroutable') throw new UnroutableError(`no queue '${queue}' takes the message`, data);
    if (outcome === 'refused') throw new PublishRefusedError(`the broker refuses the message for '${queue}'`, data);
  }

  async consume(name: string, prefetch: number, handler: DeliveryHandler): Promise<Subscription> {
    this.#refuseClosed();
    const queue = this.#broker.queue(name);
    if (queue === undefined) throw new ConfigError(`there is no queue '${name}'`, { queue: name });
    const ended = (): void => void this.#subscriptions.delete(subscription);
    const subscription = new MemorySubscription(queue, { prefetch, handler, open: new Set() }, ended);
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async relay(): Promise<Relaying> {
    this.#refuseClosed();
    this.#relay(1);
    let open = true;
    return {
      cancel: async () => {
        if (open && !this.#closed) this.#relay(-1);
        open = false;
      },
      busy: async () => (this.#broker.delayed.next ?? Infinity) <= this.#clock.now(),
    };
  }

  async pull(name: string): Promise<Pull> {
    this.#refuseClosed();
    const pull = new MemoryPull(this.#queue(name));
    this.#subscriptions.add(pull);
    return pull;
  }

  async figures(name: string): Promise<QueueFigures> {
    const { ready, consumers } = this.#queue(name);
    return { ready, consumers };
  }

  health(): TransportHealth {
    const state = this.#up ? 'up' : 'down';
    return { publish: state, consume: state, reason: this.#up ? undefined : 'the broker cannot be reached' };
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#up = false;
    this.#broker.detach(this);
    for (const subscription of this.#subscriptions) subscription.end();
    while (this.#relays > 0) this.#relay(-1);
  }

  dropped(up: boolean): void {
    this.#up = false;
    for (const link of ['publish', 'consume'] as const) this.#events.disconnected(link, undefined);
    for (const subscription of this.#subscriptions) subscription.lost();
    if (up) this.restored();
  }

  restored(): void {
    this.#up = true;
    for (const link of ['publish', 'consume'] as const) this.#events.connected(link);
  }

  expired(frame: Frame, queue: string, expires: number): void {
    this.#events.expired?.(frame, queue, expires);
  }

  #queue(name: string): MemoryQueue {
    const queue = this.#broker.queue(name);
    if (queue === undefined) throw new UnroutableError(`there is no queue '${name}'`, { queue: name });
    return queue;
  }

  #relay(change: 1 | -1): void {
    this.#relays += change;
    this.#broker.relaying(this, change);
  }

  #refuseClosed(): void {
    if (this.#closed) throw new ClosedError('the transport was closed');
  }

  async #reach(timeout: number): Promise<void> {
    const { down } = this.#broker;
    if (down === undefined) return;
    await settled(this.#clock, timeout, down);
    if (this.#broker.down !== undefined) {
      throw new BrokerUnavailableError(`the broker cannot be reached (waited ${timeout} ms)`, {
        address: this.address,
      });
    }
  }

  #stamped({ properties, headers, body }: Frame, due: number | undefined): Frame {
    const names = Object.keys(headers).filter((name) => !name.startsWith('x-'));
    const lasting = Object.fromEntries(names.map((name) => [name, headers[name]]));
    return { properties, headers: { ...lasting, copy: freshCopy(this.#clock), due, due_queue: undefined }, body };
  }
}

class MemorySubscription implements Subscription {
  readonly #queue: MemoryQueue;
  readonly #consumer: MemoryConsumer;
  /** Called when nothing of it is open any more. */
  readonly #ended: () => void;

  constructor(queue: MemoryQueue, consumer: MemoryConsumer, ended: () => void) {
    this.#queue = queue;
    this.#consumer = consumer;
    this.#ended = ended;
    queue.attach(consumer);
  }

  async cancel(): Promise<void> {
    this.#queue.detach(this.#consumer);
    if (this.#consumer.open.size === 0) this.#ended();
  }

  lost(): void {
    this.#queue.reclaim(this.#consumer);
    this.#consumer.handler.lost();
  }

  end(): void {
    this.#queue.detach(this.#consumer);
    this.#queue.reclaim(this.#consumer);
  }
}

/** A consumer that is never attached: it asks instead. */
class MemoryPull implements Pull {
  readonly #queue: MemoryQueue;
  readonly #consumer: MemoryConsumer;
  #over = false;

  constructor(queue: MemoryQueue) {
    this.#queue = queue;
    this.#consumer = { prefetch: Infinity, handler: { deliver() {}, lost() {} }, open: new Set() };
  }

  async next(): Promise<Delivery | undefined> {
    if (this.#over) throw new BrokerUnavailableError('the channel of this pull is gone');
    return this.#queue.take(this.#consumer);
  }

  async close(): Promise<void> {
    this.end();
  }

  lost(): void {
    this.end();
  }

  end(): void {
    this.#over = true;
    this.#queue.reclaim(this.#consumer);
  }
}
