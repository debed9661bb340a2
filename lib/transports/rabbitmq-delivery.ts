import type { Channel, ConsumeMessage } from 'amqplib';
import type { Frame } from '../message.js';
import type { Delivery, Settled } from '../transport.js';
import { toFrame } from './rabbitmq-frame.js';
import { flushChannel } from './rabbitmq-socket.js';

/**
 * A channel while it has deliveries. Its tags mean nothing on another channel, and settling twice would end it.
 *
 * What is acknowledged during one callback of the event loop leaves together: those before every delivery that is still
 * open as one acknowledgement of all up to the last of them, the others one by one. For each acknowledgement a quorum queue
 * writes into its log: a message took RabbitMQ 25 µs with one of its own, and 10 without.
 */
export class DeliveryChannel {
  readonly #channel: Channel;
  readonly #drained: () => void;
  /** The tags of those that are not settled; they rise. */
  readonly #outstanding = new Set<number>();
  /** Acknowledged, and not sent yet. */
  #accepted: ConsumeMessage[] = [];
  #open = true;
  #closing = false;
  #received = 0;

  /** `drained` is called whenever the last open delivery was settled. */
  constructor(channel: Channel, drained: () => void) {
    this.#channel = channel;
    this.#drained = drained;
  }

  get open(): boolean {
    return this.#open;
  }

  /** Whether its deliveries can be settled. */
  get settles(): boolean {
    return this.#open && !this.#closing;
  }

  get unsettled(): number {
    return this.#outstanding.size;
  }

  /** Deliveries so far. */
  get received(): number {
    return this.#received;
  }

  /** A message that came over it. */
  receive(queue: string, message: ConsumeMessage): Delivery {
    this.#received += 1;
    this.#outstanding.add(message.fields.deliveryTag);
    return new RabbitDelivery(this, queue, message);
  }

  /** It is about to be closed: what was acknowledged leaves before, and nothing after. */
  closing(): void {
    this.send();
    this.#closing = true;
  }

  /** From now on every delivery of it is stale. */
  end(): void {
    this.#open = false;
    this.#outstanding.clear();
  }

  settle(message: ConsumeMessage, accept: boolean): Settled {
    if (!this.settles) return 'stale';
    try {
      if (accept) this.#accept(message);
      else this.#channel.nack(message, false, true);
    } catch {
      // The driver refuses to write to a channel that is closing; `end` is about to be called.
      return 'stale';
    }
    this.#outstanding.delete(message.fields.deliveryTag);
    if (this.#outstanding.size === 0) this.#drained();
    return 'settled';
  }

  #accept(message: ConsumeMessage): void {
    this.#accepted.push(message);
    if (this.#accepted.length === 1) queueMicrotask(() => process.nextTick(() => this.send()));
  }

  /** Sends the acknowledgements now. */
  send(): void {
    const accepted = this.#accepted;
    if (accepted.length === 0) return;
    this.#accepted = [];
    const [oldest = Infinity] = this.#outstanding;
    let last: ConsumeMessage | undefined;
    try {
      for (const message of accepted) {
        const { deliveryTag } = message.fields;
        if (deliveryTag > oldest) this.#channel.ack(message);
        else if (last === undefined || deliveryTag > last.fields.deliveryTag) last = message;
      }
      if (last !== undefined) this.#channel.ack(last, true);
    } catch {
      // As for a link that is lost at this moment: they are delivered again.
    }
  }

  flushed(): Promise<void> {
    this.send();
    return flushChannel(this.#channel);
  }
}

class RabbitDelivery implements Delivery {
  readonly queue: string;
  readonly frame: Frame;
  readonly redelivered: boolean;
  readonly #channel: DeliveryChannel;
  readonly #message: ConsumeMessage;
  #settled = false;

  constructor(channel: DeliveryChannel, queue: string, message: ConsumeMessage) {
    this.#channel = channel;
    this.#message = message;
    this.queue = queue;
    this.frame = toFrame(message);
    this.redelivered = message.fields.redelivered;
  }

  get stale(): boolean {
    return this.#settled || !this.#channel.settles;
  }

  ack(): Settled {
    return this.#settle(true);
  }

  requeue(): Settled {
    return this.#settle(false);
  }

  flushed(): Promise<void> {
    return this.#channel.flushed();
  }

  #settle(accept: boolean): Settled {
    if (this.#settled) return 'stale';
    this.#settled = true;
    return this.#channel.settle(this.#message, accept);
  }
}
