import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import type { Clock } from '../clock.js';
import { BrokerUnavailableError } from '../errors.js';
import type { Delivery, Pull } from '../transport.js';
import { answered, closeChannel, openChannel } from './rabbitmq-channel.js';
import { DeliveryChannel } from './rabbitmq-delivery.js';

/** What a pull needs to know. */
export interface PullSettings {
  readonly model: ChannelModel;
  readonly clock: Clock;
  readonly queue: string;
  /** Called when its channel is gone. */
  readonly ended: () => void;
}

/** `basic.get` on a channel of its own. It ends with its channel: nobody builds it again. */
export class RabbitPull implements Pull {
  readonly #channel: Channel;
  readonly #deliveries: DeliveryChannel;
  readonly #clock: Clock;
  readonly #queue: string;
  #closed: Promise<void> | undefined;
  /** A message that was asked for and did not come in time may come yet: nothing may be acknowledged beyond it. */
  #broken: unknown;

  private constructor(channel: Channel, deliveries: DeliveryChannel, { clock, queue }: PullSettings) {
    this.#channel = channel;
    this.#deliveries = deliveries;
    this.#clock = clock;
    this.#queue = queue;
  }

  /** The queue is known to be there. */
  static async open(settings: PullSettings): Promise<RabbitPull> {
    let deliveries: DeliveryChannel | undefined;
    const channel = await openChannel(settings.model, settings.clock, () => {
      deliveries?.end();
      settings.ended();
    });
    deliveries = new DeliveryChannel(channel, () => {});
    return new RabbitPull(channel, deliveries, settings);
  }

  async next(): Promise<Delivery | undefined> {
    try {
      if (this.#broken !== undefined) throw this.#broken;
      const message = await answered(this.#clock, this.#channel.get(this.#queue));
      // The same fields as a consumer's, but for the tag of the consumer, which nobody reads.
      return message === false
        ? undefined
        : this.#deliveries.receive(this.#queue, message as unknown as ConsumeMessage);
    } catch (error) {
      this.#broken ??= error;
      throw new BrokerUnavailableError(`the channel to '${this.#queue}' is gone`, { queue: this.#queue }, error);
    }
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#deliveries.closing();
    // The end of a channel alone gives a quorum queue its messages back some time later.
    if (this.#deliveries.unsettled > 0) this.#channel.nackAll(true);
    await closeChannel(this.#channel, this.#clock);
    this.#deliveries.end();
  }
}
