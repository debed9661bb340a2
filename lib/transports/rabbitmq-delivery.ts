import type { Channel, ConsumeMessage } from 'amqplib';
import type { Frame } from '../message.js';
import type { Delivery, Settled } from '../transport.js';
import { toFrame } from './rabbitmq-frame.js';
import { flushChannel } from './rabbitmq-socket.js';

/** A channel while it has deliveries. Its tags mean nothing on another channel, and settling twice would end it. */
export class DeliveryChannel {
  readonly #channel: Channel;
  readonly #drained: () => void;
  #open = true;
  #unsettled = 0;
  #received = 0;

  /** `drained` is called whenever the last open delivery was settled. */
  constructor(channel: Channel, drained: () => void) {
    this.#channel = channel;
    this.#drained = drained;
  }

  get open(): boolean {
    return this.#open;
  }

  get unsettled(): number {
    return this.#unsettled;
  }

  /** Deliveries so far. */
  get received(): number {
    return this.#received;
  }

  /** A message that came over it. */
  receive(queue: string, message: ConsumeMessage): Delivery {
    this.#received += 1;
    this.#unsettled += 1;
    return new RabbitDelivery(this, queue, message);
  }

  /** From now on every delivery of it is stale. */
  end(): void {
    this.#open = false;
    this.#unsettled = 0;
  }

  settle(message: ConsumeMessage, accept: boolean): Settled {
    if (!this.#open) return 'stale';
    try {
      if (accept) this.#channel.ack(message);
      else this.#channel.nack(message, false, true);
    } catch {
      // The driver refuses to write to a channel that is closing; `end` is about to be called.
      return 'stale';
    }
    this.#unsettled -= 1;
    if (this.#unsettled === 0) this.#drained();
    return 'settled';
  }

  flushed(): Promise<void> {
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
    return this.#settled || !this.#channel.open;
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
