import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { type Clock, pause } from '../clock.js';
import { AccessRefusedError, ClosedError, ConfigError, toError } from '../errors.js';
import type { Delivery, DeliveryHandler, Subscription } from '../transport.js';
import { type Deferred, deferred } from './promises.js';
import { closeChannel, openChannel } from './rabbitmq-channel.js';
import { DeliveryChannel } from './rabbitmq-delivery.js';
import { declareError } from './rabbitmq-errors.js';
import { backOff, type Link } from './rabbitmq-link.js';

/** What a consumer needs to know. */
export interface ConsumerSettings {
  readonly link: Link;
  readonly clock: Clock;
  readonly queue: string;
  readonly prefetch: number;
  readonly handler: DeliveryHandler;
  /** Called before the consumer is built again: its queue may have gone with a broker. */
  readonly prepare: (model: ChannelModel) => Promise<void>;
  /** Called when it has ended and its channel is closed. */
  readonly ended: () => void;
}

/** ms; a subscription that held so long was a good one, and the back-off starts over. */
const STABLE = 5_000;

/** One subscription on a channel of its own, built again whenever it is lost. */
export class Consumer implements Subscription {
  readonly #settings: ConsumerSettings;
  readonly #stop = new AbortController();
  readonly #established: Deferred<void> = deferred();
  #channel: Channel | undefined;
  #deliveries: DeliveryChannel | undefined;
  #tag = '';
  #cancelled = false;
  #wasUp = false;

  constructor(settings: ConsumerSettings) {
    this.#settings = settings;
  }

  /** Resolves when the broker has accepted it; rejects when it never will. */
  start(): Promise<void> {
    void this.#run().then(
      () => this.#established.reject(new ClosedError('the consumer was cancelled')),
      (error: unknown) => this.#established.reject(toError(error)),
    );
    return this.#established.promise;
  }

  async cancel(): Promise<void> {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#stop.abort();
    try {
      await this.#channel?.cancel(this.#tag);
    } catch {
      // The channel was lost: nothing is delivered over it any more.
    }
    if (this.#deliveries === undefined || this.#deliveries.unsettled === 0) await this.close();
  }

  /** Ends it: what was not settled goes back to the queue. */
  async close(): Promise<void> {
    this.#cancelled = true;
    this.#stop.abort();
    this.#deliveries?.end();
    this.#deliveries = undefined;
    const channel = this.#channel;
    this.#channel = undefined;
    if (channel !== undefined) await closeChannel(channel, this.#settings.clock);
    this.#settings.ended();
  }

  async #run(): Promise<void> {
    const { link, clock, prepare } = this.#settings;
    for (let attempt = 0; !this.#cancelled; attempt += 1) {
      const model = await link.ready();
      const since = clock.monotonic();
      try {
        if (attempt > 0) await prepare(model);
        await this.#life(model);
        if (clock.monotonic() - since > STABLE) attempt = 0;
      } catch (error) {
        this.#refuse(error);
      }
      await pause(clock, backOff(clock, attempt), this.#stop.signal);
    }
  }

  /** At the start the caller is told that its queue is wrong; later it may come back. */
  #refuse(error: unknown): void {
    const translated = declareError(error, this.#settings.queue);
    if (translated instanceof AccessRefusedError) throw translated;
    if (!this.#wasUp && translated instanceof ConfigError) throw translated;
  }

  /** Resolves when the subscription is gone. */
  async #life(model: ChannelModel): Promise<void> {
    const gone = deferred<void>();
    let deliveries: DeliveryChannel | undefined;
    const lost = (): void => {
      if (deliveries !== undefined) this.#lost(deliveries);
      gone.resolve();
    };
    const channel = await openChannel(model, 'plain', lost);
    deliveries = new DeliveryChannel(channel, this.#settings.link, () => this.#drained());
    await channel.prefetch(this.#settings.prefetch);
    const receive = (message: ConsumeMessage | null): void => {
      if (message !== null) this.#receive(deliveries, message);
      else void closeChannel(channel, this.#settings.clock).then(lost);
    };
    this.#channel = channel;
    this.#deliveries = deliveries;
    this.#tag = (await channel.consume(this.#settings.queue, receive)).consumerTag;
    if (this.#cancelled) await this.close();
    this.#wasUp = true;
    this.#established.resolve();
    await gone.promise;
  }

  #receive(deliveries: DeliveryChannel, message: ConsumeMessage): void {
    const { queue, handler } = this.#settings;
    let delivery: Delivery | undefined;
    try {
      delivery = deliveries.receive(queue, message);
      if (this.#cancelled) delivery.requeue();
      else handler.deliver(delivery);
    } catch {
      // A throw would close the channel under all the other deliveries.
      delivery?.requeue();
    }
  }

  #lost(deliveries: DeliveryChannel): void {
    if (!deliveries.open) return;
    deliveries.end();
    this.#channel = undefined;
    this.#deliveries = undefined;
    if (this.#wasUp) this.#settings.handler.lost();
    if (this.#cancelled) this.#settings.ended();
  }

  #drained(): void {
    if (this.#cancelled) void this.close();
  }
}
