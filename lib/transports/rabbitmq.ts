import type { Channel, ChannelModel } from 'amqplib';
import { type Clock, pause } from '../clock.js';
import { BrokerUnavailableError, ClosedError, ConfigError, UnroutableError } from '../errors.js';
import type {
  DeliveryHandler,
  Outgoing,
  Pull,
  QueueDeclaration,
  QueueFigures,
  Relaying,
  Sideline,
  SidelineOptions,
  Subscription,
  Transport,
  TransportEvents,
  TransportHealth,
} from '../transport.js';
import { parseAddress, type RabbitAddress } from './rabbitmq-address.js';
import { onThrowAwayChannel } from './rabbitmq-channel.js';
import { Consumer } from './rabbitmq-consumer.js';
import { declareError, replyCode } from './rabbitmq-errors.js';
import { Link } from './rabbitmq-link.js';
import { Publisher } from './rabbitmq-publisher.js';
import { RabbitPull } from './rabbitmq-pull.js';
import { Relay, type RelaySettings } from './rabbitmq-relay.js';
import { RabbitSideline } from './rabbitmq-sideline.js';
import { declareDelays, declareWorkQueue, dueName, rungName } from './rabbitmq-topology.js';

/** What a transport over RabbitMQ needs to know. */
export interface RabbitSettings {
  /** `amqp://user:password@host:5672/vhost`, or `amqps:`. */
  readonly url: string;
  /** Prefix of the delay queues. */
  readonly namespace: string;
  readonly clock: Clock;
  /** Shown by the broker beside the connections. */
  readonly connectionName: string;
}

/** Deliveries that the relay has in hand at a time. Most are gone at once; some wait up to a second. */
const RELAY_PREFETCH = 1_000;
/** ms that a request without a timeout of its own waits for a link, and for answers on one channel or another. */
const REQUEST_TIMEOUT = 35_000;
/** ms; twenty quorum queues at once, on a machine that is busy. */
const DELAYS_TIMEOUT = 120_000;
const SILENT: TransportEvents = { connected() {}, disconnected() {}, blocked() {} };

/**
 * A transport over RabbitMQ 3.10 or later. Opens nothing before `connect`. `ConfigError` when the address is none.
 */
export const createRabbitTransport = (settings: RabbitSettings): Transport => new RabbitTransport(settings);

class RabbitTransport implements Transport {
  readonly address: string;
  readonly heartbeat: number;
  readonly #clock: Clock;
  readonly #namespace: string;
  readonly #address: RabbitAddress;
  readonly #publishLink: Link;
  readonly #consumeLink: Link;
  readonly #publisher: Publisher;
  readonly #publishing: Promise<void>;
  readonly #consumers = new Set<Consumer>();
  readonly #relays = new Set<Subscription>();
  readonly #pulls = new Set<Pull>();
  readonly #sidelines = new Set<Sideline>();
  readonly #declared = new Map<string, QueueDeclaration>();
  #events = SILENT;
  #closed: Promise<void> | undefined;

  constructor({ url, namespace, clock, connectionName }: RabbitSettings) {
    this.#address = parseAddress(url);
    this.address = this.#address.text;
    this.heartbeat = this.#address.heartbeat;
    this.#clock = clock;
    this.#namespace = namespace;
    const link = (name: 'publish' | 'consume'): Link =>
      new Link({
        name,
        clock,
        address: this.#address,
        connectionName: `${connectionName} (${name})`,
        events: () => this.#events,
      });
    this.#publishLink = link('publish');
    this.#consumeLink = link('consume');
    const prepare = (model: ChannelModel): Promise<void> => this.#declareDelays(model);
    this.#publisher = new Publisher({ link: this.#publishLink, clock, namespace, prepare });
    this.#publishing = this.#publisher.start();
  }

  listen(events: TransportEvents): void {
    this.#events = events;
  }

  async connect(timeout: number): Promise<void> {
    this.#refuseClosed();
    this.#publishLink.start();
    this.#consumeLink.start();
    await this.#within(timeout, () => Promise.all([this.#publishing, this.#consumeLink.ready()]));
  }

  async declare(queues: readonly QueueDeclaration[]): Promise<void> {
    for (const queue of queues) {
      const translate = (error: unknown): unknown => declareError(error, queue.name);
      await this.#request((channel) => declareWorkQueue(channel, queue), translate);
      this.#declared.set(queue.name, queue);
    }
  }

  publish(outgoing: Outgoing): Promise<void> {
    return this.#closed === undefined ? this.#publisher.publish(outgoing) : Promise.reject(closedError());
  }

  async consume(queue: string, prefetch: number, handler: DeliveryHandler): Promise<Subscription> {
    this.#refuseClosed();
    const consumer = new Consumer({
      link: this.#consumeLink,
      clock: this.#clock,
      queue,
      prefetch,
      handler,
      prepare: (model) => this.#redeclare(model, queue),
      ended: () => this.#consumers.delete(consumer),
    });
    this.#consumers.add(consumer);
    await consumer.start();
    return consumer;
  }

  async relay(): Promise<Relaying> {
    const queue = dueName(this.#namespace);
    const publish: Publisher['publish'] = (outgoing, over) => this.#publisher.publish(outgoing, over);
    const expired: RelaySettings['expired'] = (...gone) => this.#events.expired?.(...gone);
    const relay = new Relay({ clock: this.#clock, queue, publish, expired });
    const consumer = await this.consume(queue, RELAY_PREFETCH, relay);
    const subscription = {
      get attached(): boolean {
        return consumer.attached !== false;
      },
      cancel: async () => {
        this.#relays.delete(subscription);
        await consumer.cancel();
        await relay.close();
      },
      busy: async () => relay.busy || (await this.figures(queue)).ready > 0,
    };
    this.#relays.add(subscription);
    return subscription;
  }

  async sideline(options: SidelineOptions): Promise<Sideline> {
    this.#refuseClosed();
    const links = { publishLink: this.#publishLink, consumeLink: this.#consumeLink };
    const ended = (): void => void this.#sidelines.delete(sideline);
    const sideline = new RabbitSideline({ ...options, ...links, clock: this.#clock, ended });
    this.#sidelines.add(sideline);
    await sideline.open();
    return sideline;
  }

  async pull(queue: string): Promise<Pull> {
    await this.figures(queue);
    const model = await this.#consumeLink.ready();
    const ended = (): void => void this.#pulls.delete(pull);
    const pull = await RabbitPull.open({ model, clock: this.#clock, queue, ended });
    this.#pulls.add(pull);
    return pull;
  }

  figures(queue: string): Promise<QueueFigures> {
    const missing = (error: unknown): unknown =>
      replyCode(error) === 404 ? new UnroutableError(`there is no queue '${queue}'`, { queue }, error) : undefined;
    return this.#request(async (channel) => {
      const { messageCount, consumerCount } = await channel.checkQueue(queue);
      return { ready: messageCount, consumers: consumerCount };
    }, missing);
  }

  health(): TransportHealth {
    const links = [this.#publishLink, this.#consumeLink];
    const reasons = links.map(({ alarm, lastError }) => alarm ?? lastError?.message);
    const [publish, consume] = [this.#publishLink.state, this.#consumeLink.state];
    return { publish, consume, reason: reasons.find((reason) => reason !== undefined) };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#relays].map((relay) => relay.cancel()));
    await this.#publisher.idle();
    await Promise.all([...this.#consumers, ...this.#pulls].map((each) => each.close()));
    await Promise.all([...this.#sidelines].map((sideline) => sideline.close()));
    await this.#publisher.close();
    await Promise.all([this.#publishLink.close(), this.#consumeLink.close()]);
  }

  #refuseClosed(): void {
    if (this.#closed !== undefined) throw closedError();
  }

  async #declareDelays(model: ChannelModel): Promise<void> {
    try {
      const run = (channel: Channel): Promise<void> => declareDelays(channel, this.#namespace);
      await onThrowAwayChannel(model, this.#clock, run, DELAYS_TIMEOUT);
    } catch (error) {
      throw declareError(error, rungName(this.#namespace, 0)) ?? error;
    }
  }

  async #redeclare(model: ChannelModel, queue: string): Promise<void> {
    const declaration = this.#declared.get(queue);
    if (declaration === undefined) return;
    await onThrowAwayChannel(model, this.#clock, (channel) => declareWorkQueue(channel, declaration));
  }

  /** Something that is asked of the broker, again when the link is lost meanwhile. */
  #request<T>(run: (channel: Channel) => Promise<T>, translate: (error: unknown) => unknown): Promise<T> {
    return this.#within(REQUEST_TIMEOUT, async (signal) => {
      for (;;) {
        this.#refuseClosed();
        const model = await this.#consumeLink.ready();
        try {
          return await onThrowAwayChannel(model, this.#clock, run);
        } catch (error) {
          const translated = translate(error);
          if (translated !== undefined || signal.aborted) throw translated ?? error;
          if (replyCode(error) !== undefined) throw new ConfigError(String(error), {}, error);
        }
        await pause(this.#clock, 100, signal);
      }
    });
  }

  async #within<T>(timeout: number, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const over = new AbortController();
    let late: (() => void) | undefined;
    const expired = new Promise<never>((_, reject) => {
      late = () => {
        const cause = this.#consumeLink.lastError ?? this.#publishLink.lastError;
        const text = cause?.message ?? `RabbitMQ at ${this.address} did not answer`;
        reject(new BrokerUnavailableError(`${text} (waited ${timeout} ms)`, { address: this.address }, cause));
      };
    });
    const timer = this.#clock.after(timeout, () => late?.());
    try {
      return await Promise.race([run(over.signal), expired]);
    } finally {
      over.abort();
      timer.cancel();
    }
  }
}

const closedError = (): ClosedError => new ClosedError('the transport was closed');
