import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { type Clock, pause } from '../clock.js';
import { AccessRefusedError, ClosedError, ConfigError, toError } from '../errors.js';
import type { Delivery, DeliveryHandler, Subscription } from '../transport.js';
import { type Deferred, deferred, settled } from './promises.js';
import { answered, CLOSE_TIMEOUT, closeChannel, onThrowAwayChannel, openChannel } from './rabbitmq-channel.js';
import { DeliveryChannel } from './rabbitmq-delivery.js';
import { declareError, replyCode } from './rabbitmq-errors.js';
import { backOff, type Link } from './rabbitmq-link.js';
import { idlesBesideWork } from './rabbitmq-watchdog.js';

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
  #tag: string | undefined;
  #cancelled = false;
  /** The broker did not answer: it is not asked again. */
  #silent = false;
  #closed: Promise<void> | undefined;
  #wasUp = false;
  #watch = new AbortController();
  /** How often in a row it was built again because it idled, and nothing came. */
  #vain = 0;

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

  get attached(): boolean {
    return this.#tag !== undefined;
  }

  async cancel(): Promise<void> {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#stop.abort();
    this.#watch.abort();
    const tag = this.#tag;
    this.#tag = undefined;
    this.#deliveries?.send();
    if (tag !== undefined) await this.#flush(this.#channel, tag);
    if (this.#deliveries === undefined || this.#deliveries.unsettled === 0) await this.close();
  }

  /** Ends it: what was not settled goes back to the queue. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const [channel, tag] = [this.#channel, this.#tag];
    this.#cancelled = true;
    this.#stop.abort();
    this.#watch.abort();
    this.#deliveries?.closing();
    this.#deliveries?.end();
    this.#tag = undefined;
    if (channel !== undefined) {
      await this.#flush(channel, tag);
      const closed = closeChannel(channel, this.#settings.clock);
      if (!this.#silent) await closed;
    }
    this.#settings.ended();
  }

  async #flush(channel: Channel | undefined, tag: string | undefined): Promise<void> {
    if (channel === undefined || this.#silent) return;
    this.#silent = !(await settled(this.#settings.clock, CLOSE_TIMEOUT, this.#roundTrip(channel, tag)));
  }

  /**
   * Cancels the consumer `tag`, or, when it was cancelled before, one that is there for nothing else: whatever goes
   * through the log of a quorum queue comes back after the acknowledgements before it. The broker has only some 30 of
   * them under way; of 500 right before the end of their channel it forgot 467.
   */
  async #roundTrip(channel: Channel, tag: string | undefined): Promise<void> {
    if (tag !== undefined) {
      await channel.cancel(tag);
      return;
    }
    await channel.prefetch(1);
    const { consumerTag } = await channel.consume(this.#settings.queue, () => {}, { priority: -1 });
    await channel.cancel(consumerTag);
  }

  async #run(): Promise<void> {
    const { link, clock, prepare } = this.#settings;
    let last: ChannelModel | undefined;
    for (let attempt = 0; !this.#cancelled;) {
      const model = await link.ready();
      // A fresh link has waited before it was opened.
      attempt = model === last ? attempt + 1 : 0;
      if (attempt > 0) await pause(clock, backOff(clock, attempt - 1), this.#stop.signal);
      if (this.#cancelled) return;
      const since = clock.monotonic();
      try {
        if (last !== undefined) await prepare(model);
        await this.#life(model);
        if (clock.monotonic() - since > STABLE) attempt = 0;
      } catch (error) {
        this.#refuse(error);
      }
      last = model;
    }
  }

  /** At the start the caller is told that its queue is wrong or not for it; later that may pass. */
  #refuse(error: unknown): void {
    if (this.#wasUp) return;
    const translated = declareError(error, this.#settings.queue);
    if (translated instanceof AccessRefusedError || translated instanceof ConfigError) throw translated;
  }

  /** Resolves when the subscription is gone. */
  async #life(model: ChannelModel): Promise<void> {
    const { clock, queue, prefetch } = this.#settings;
    const gone = deferred<void>();
    let deliveries: DeliveryChannel | undefined;
    const lost = (): void => {
      if (deliveries !== undefined) this.#lost(deliveries);
      gone.resolve();
    };
    const channel = await openChannel(model, clock, lost);
    deliveries = new DeliveryChannel(channel, () => this.#drained());
    const unheard = (error: unknown): never => {
      lost();
      void closeChannel(channel, clock);
      throw error;
    };
    await answered(clock, channel.prefetch(prefetch)).catch(unheard);
    if (this.#cancelled) return closeChannel(channel, clock);
    const close = (): Promise<void> => {
      deliveries.closing();
      return closeChannel(channel, clock);
    };
    const end = (): Promise<void> => close().then(lost);
    const receive = (message: ConsumeMessage | null): void => {
      if (message !== null) this.#receive(deliveries, message);
      else void end();
    };
    this.#channel = channel;
    this.#deliveries = deliveries;
    this.#silent = false;
    const { consumerTag } = await answered(clock, channel.consume(queue, receive)).catch(unheard);
    this.#tag = consumerTag;
    if (this.#cancelled) await close();
    this.#wasUp = true;
    this.#established.resolve();
    if (!this.#cancelled) void this.#idles(model, deliveries).then((idles) => (idles ? end() : undefined));
    await gone.promise;
  }

  /** Resolves to true when the subscription shall be built again: it idles, and its queue is not empty. */
  async #idles(model: ChannelModel, deliveries: DeliveryChannel): Promise<boolean> {
    const { clock } = this.#settings;
    const { signal } = (this.#watch = new AbortController());
    const waiting = (): Promise<number> => this.#waiting(model);
    const idles = await idlesBesideWork({ clock, deliveries, waiting }, this.#vain, signal);
    if (idles) this.#vain += 1;
    return idles;
  }

  /** Messages in the queue; Infinity when it is gone without a word, 0 when nobody can say. */
  #waiting(model: ChannelModel): Promise<number> {
    const { clock, queue } = this.#settings;
    return onThrowAwayChannel(model, clock, (channel) => channel.checkQueue(queue)).then(
      ({ messageCount }) => messageCount,
      (error: unknown) => (replyCode(error) === 404 ? Infinity : 0),
    );
  }

  #receive(deliveries: DeliveryChannel, message: ConsumeMessage): void {
    const { queue, handler } = this.#settings;
    let delivery: Delivery | undefined;
    this.#vain = 0;
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
    this.#watch.abort();
    deliveries.end();
    this.#channel = undefined;
    this.#deliveries = undefined;
    this.#tag = undefined;
    if (this.#wasUp) this.#settings.handler.lost();
    if (this.#cancelled) this.#settings.ended();
  }

  #drained(): void {
    if (this.#cancelled) void this.close();
  }
}
