import {
  PublishOutcomeUnknownError,
  type Delivery,
  type DeliveryHandler,
  type Frame,
  type Outgoing,
  type QueueDeclaration,
  type QueueFigures,
  type Relaying,
  type Settled,
  type Subscription,
  type Timer,
  type Transport,
  type TransportEvents,
  type TransportHealth,
} from 'solotask';
import { createMemoryTransport, type MemoryBroker } from '../../lib/transports/memory.js';
import type { MemoryLink } from '../../lib/transports/memory-broker.js';
import { pause } from '../../lib/clock.js';
import type { Process, World } from './world.js';

/** What the network between a process and the broker does. */
export interface LinkFaults {
  /** ms; the longest way of a message, a confirm, a delivery or an acknowledgement. */
  latency: number;
  /** ms; the longest time until a process notices that its link is gone. */
  notice: number;
}

/** A publish without an outcome yet. */
interface OpenPublish {
  readonly outgoing: Outgoing;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  /** A link was cut before its confirm. */
  unknown: boolean;
  timer: Timer | undefined;
}

/** A process's transport: the broker in memory, and a network in between that takes time and can be cut. */
export class NetworkTransport implements Transport {
  readonly address = 'network:';
  readonly #world: World;
  readonly #process: Process;
  readonly #faults: LinkFaults;
  readonly #inner: Transport & MemoryLink;
  #events: TransportEvents = { connected() {}, disconnected() {}, blocked() {} };
  /** Told what the broker took. */
  onStored: ((outgoing: Outgoing) => void) | undefined;
  /** Counts the links that were cut, as the broker sees it. */
  cuts = 0;
  /** The same, as the process has noticed. */
  #noticed = 0;
  readonly #handlers = new Set<DeliveryHandler>();
  readonly #open = new Set<OpenPublish>();

  constructor(world: World, process: Process, broker: MemoryBroker, faults: LinkFaults) {
    this.#world = world;
    this.#process = process;
    this.#faults = faults;
    this.#inner = createMemoryTransport({ clock: process.clock, broker }) as Transport & MemoryLink;
  }

  get noticed(): number {
    return this.#noticed;
  }

  listen(events: TransportEvents): void {
    this.#events = events;
  }

  connect(timeout: number): Promise<void> {
    return this.#inner.connect(timeout);
  }

  declare(queues: readonly QueueDeclaration[]): Promise<void> {
    return this.#inner.declare(queues);
  }

  /** The broker notices a cut at once and gives the open deliveries to others; the process notices later. */
  cut(): void {
    this.cuts++;
    const cuts = this.cuts;
    this.#inner.dropped(true);
    this.#later(this.#world.random.between(0, this.#faults.notice), () => {
      this.#noticed = Math.max(this.#noticed, cuts);
      this.#events.disconnected('consume', undefined);
      for (const handler of this.#handlers) handler.lost();
      for (const open of this.#open) {
        open.unknown = true;
        this.#send(open);
      }
    });
  }

  /** The process is dead: what it had goes back. */
  async die(): Promise<void> {
    this.cuts++;
    await this.#inner.close();
  }

  publish(outgoing: Outgoing): Promise<void> {
    return new Promise((resolve, reject) => {
      const open: OpenPublish = { outgoing, resolve, reject, unknown: false, timer: undefined };
      open.timer = this.#later(outgoing.timeout, () => this.#end(open, new PublishOutcomeUnknownError('no confirm')));
      this.#open.add(open);
      this.#send(open);
    });
  }

  #send(open: OpenPublish): void {
    const { cuts } = this;
    const cut = (): boolean => cuts !== this.cuts;
    const answer = (error?: Error): void => {
      this.#later(this.#way(), () => {
        if (!cut())
          this.#end(open, error !== undefined && open.unknown ? new PublishOutcomeUnknownError('twice') : error);
      });
    };
    this.#world.after(this.#way(), () => {
      // Half of what is on its way when a link is cut arrives, and half is lost with it.
      if (cut() && this.#world.random.chance(0.5)) return;
      this.#inner.publish(open.outgoing).then(() => {
        this.onStored?.(open.outgoing);
        this.#process.onMoment?.('publish');
        answer();
      }, answer);
    });
  }

  #end(open: OpenPublish, error: Error | undefined): void {
    open.timer?.cancel();
    if (!this.#open.delete(open)) return;
    if (error === undefined) open.resolve();
    else open.reject(error);
  }

  async consume(queue: string, prefetch: number, handler: DeliveryHandler): Promise<Subscription> {
    this.#handlers.add(handler);
    let coming = 0;
    const deliver = (inner: Delivery): void => {
      const delivery = new NetworkDelivery(inner, this.cuts, this);
      coming++;
      this.#later(this.#way(), () => {
        coming--;
        if (!delivery.stale) handler.deliver(delivery);
      });
    };
    const subscription = await this.#inner.consume(queue, prefetch, { deliver, lost() {} });
    const cancel = async (): Promise<void> => {
      await subscription.cancel();
      // What the broker sent before it heard of the cancel arrives before its answer.
      while (coming > 0) await pause(this.#process.clock, 1);
      this.#handlers.delete(handler);
    };
    return { cancel };
  }

  relay(): Promise<Relaying> {
    return this.#inner.relay();
  }

  pull(queue: string): ReturnType<Transport['pull']> {
    return this.#inner.pull(queue);
  }

  health(): TransportHealth {
    return this.#inner.health();
  }

  figures(queue: string): Promise<QueueFigures> {
    return this.#inner.figures(queue);
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }

  /** An acknowledgement on its way; when the link is cut before it arrives it is lost. */
  settle(effect: () => void): void {
    const { cuts } = this;
    this.#world.after(this.#way(), () => {
      if (cuts === this.cuts) effect();
      this.#process.onMoment?.('ack');
    });
  }

  #way(): number {
    return this.#world.random.between(0.1, this.#faults.latency);
  }

  #later(ms: number, fire: () => void): Timer {
    return this.#world.after(ms, fire, { owner: this.#process });
  }
}

/** A delivery as the process sees it: stale only once it has noticed. */
class NetworkDelivery implements Delivery {
  readonly queue: string;
  readonly frame: Frame;
  readonly redelivered: boolean;
  readonly #inner: Delivery;
  readonly #cuts: number;
  readonly #transport: NetworkTransport;
  #settled = false;

  constructor(inner: Delivery, cuts: number, transport: NetworkTransport) {
    this.queue = inner.queue;
    this.frame = inner.frame;
    this.redelivered = inner.redelivered;
    this.#inner = inner;
    this.#cuts = cuts;
    this.#transport = transport;
  }

  get stale(): boolean {
    return this.#settled || this.#transport.noticed > this.#cuts;
  }

  ack(): Settled {
    return this.#settle(() => this.#inner.ack());
  }

  requeue(): Settled {
    return this.#settle(() => this.#inner.requeue());
  }

  async flushed(): Promise<void> {}

  #settle(effect: () => void): Settled {
    if (this.stale) return 'stale';
    this.#settled = true;
    this.#transport.settle(effect);
    return 'settled';
  }
}
