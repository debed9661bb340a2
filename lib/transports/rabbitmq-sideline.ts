import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { type Clock, pause } from '../clock.js';
import { AccessRefusedError } from '../errors.js';
import type { ExchangeDeclaration, Notice, Sideline, SidelineOptions } from '../transport.js';
import { type Deferred, deferred } from './promises.js';
import { answered, closeChannel, onThrowAwayChannel, openChannel } from './rabbitmq-channel.js';
import { replyCode } from './rabbitmq-errors.js';
import { toFrame } from './rabbitmq-frame.js';
import { backOff, type Link } from './rabbitmq-link.js';

/** What a sideline needs to know. */
export interface SidelineSettings extends SidelineOptions {
  /** Notices go out here: an alarm of the broker blocks who has published, and must not block acknowledgements. */
  readonly publishLink: Link;
  readonly consumeLink: Link;
  readonly clock: Clock;
  /** Called as it is closed. */
  readonly ended: () => void;
}

/** ms; a queue whose consumer does not come back goes. */
const EXPIRES = 10_000;
/** ms; a channel that held so long was a good one, and the back-off starts over. */
const STABLE = 5_000;

/** Transient messages out, without confirms, and a mailbox in: each on a channel of its own, opened again when lost. */
export class RabbitSideline implements Sideline {
  readonly #settings: SidelineSettings;
  readonly #stop = new AbortController();
  #out: Channel | undefined;
  #in: Channel | undefined;
  /** The driver keeps what the socket has not taken. */
  #full = false;
  #closed: Promise<void> | undefined;

  constructor(settings: SidelineSettings) {
    this.#settings = settings;
  }

  /** Resolves when both channels were opened once, or somebody else has the mailbox: it is tried again then. */
  async open(): Promise<void> {
    const { publishLink, consumeLink } = this.#settings;
    try {
      await Promise.all([
        this.#keep(publishLink, (model, up) => this.#outlet(model, up)),
        this.#keep(consumeLink, (model, up) => this.#mailbox(model, up)),
      ]);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  get writable(): boolean {
    return this.#out !== undefined && !this.#full && this.#settings.publishLink.state === 'up';
  }

  send({ exchange, routingKey, headers, body }: Notice): void {
    if (!this.writable) return;
    const options = { contentType: 'application/json', contentEncoding: 'utf-8', deliveryMode: 1, headers };
    try {
      this.#full = this.#out?.publish(exchange, routingKey, body, options) === false;
    } catch {
      // The channel has closed, and its end is about to be told.
    }
  }

  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  async #close(): Promise<void> {
    this.#stop.abort();
    const open = [this.#out, this.#in].filter((channel) => channel !== undefined);
    await Promise.all(open.map((channel) => closeChannel(channel, this.#settings.clock)));
    this.#settings.ended();
  }

  /** Resolves as soon as there was a first try; goes on until the sideline is closed. Rejects when it may not. */
  #keep(link: Link, live: (model: ChannelModel, up: () => void) => Promise<void>): Promise<void> {
    const tried: Deferred<void> = deferred();
    void this.#again(link, live, tried).catch(() => tried.resolve());
    return tried.promise;
  }

  async #again(
    link: Link,
    live: (model: ChannelModel, up: () => void) => Promise<void>,
    tried: Deferred<void>,
  ): Promise<void> {
    const { clock } = this.#settings;
    const { signal } = this.#stop;
    for (let attempt = 0; !signal.aborted; attempt++) {
      if (attempt > 0) await pause(clock, backOff(clock, attempt), signal);
      const model = await link.ready();
      if (signal.aborted) return;
      const since = clock.monotonic();
      await live(model, () => tried.resolve()).catch((error: unknown) => this.#judge(error, tried));
      if (clock.monotonic() - since > STABLE) attempt = 0;
    }
  }

  /** Only who has just asked for it is told that he may not have it; whatever else goes wrong may pass. */
  #judge(error: unknown, tried: Deferred<void>): void {
    if (replyCode(error) !== 403) return tried.resolve();
    const text = `this user may not use the exchanges and the queue of remote control: ${String(error)}`;
    tried.reject(new AccessRefusedError(text, {}, error));
  }

  /** Resolves when the channel is gone. */
  async #outlet(model: ChannelModel, up: () => void): Promise<void> {
    for (const exchange of this.#settings.exchanges) await this.#declare(model, exchange);
    await this.#life(model, async (channel) => {
      channel.on('drain', () => {
        this.#full = false;
        this.#settings.ready();
      });
      this.#full = false;
      this.#out = channel;
      up();
      this.#settings.ready();
    }).finally(() => (this.#out = undefined));
  }

  /** Resolves when the channel is gone. */
  async #mailbox(model: ChannelModel, up: () => void): Promise<void> {
    const { clock, mailbox } = this.#settings;
    const { queue, exchange, ttl } = mailbox;
    await this.#declare(model, exchange);
    const own = { durable: false, autoDelete: true, exclusive: true, expires: EXPIRES, messageTtl: ttl };
    await this.#life(model, async (channel, end) => {
      this.#in = channel;
      const receive = (message: ConsumeMessage | null): void => {
        if (message === null) end();
        else if (!this.#stop.signal.aborted) mailbox.deliver(toFrame(message));
      };
      await answered(clock, channel.assertQueue(queue, own));
      await answered(clock, channel.bindQueue(queue, exchange.name, ''));
      await answered(clock, channel.consume(queue, receive, { noAck: true }));
      up();
    }).finally(() => (this.#in = undefined));
  }

  /** A channel from its begin to its end. */
  async #life(model: ChannelModel, begin: (channel: Channel, end: () => void) => Promise<void>): Promise<void> {
    const { clock } = this.#settings;
    const gone = deferred<void>();
    const lost = (error: Error | undefined): void => (error === undefined ? gone.resolve() : gone.reject(error));
    const channel = await openChannel(model, clock, lost);
    const end = (): void => void closeChannel(channel, clock);
    if (this.#stop.signal.aborted) return end();
    try {
      await begin(channel, end);
    } catch (error) {
      end();
      throw error;
    }
    await gone.promise;
  }

  /** One that was declared otherwise serves as well: its messages go where its owner wants them. */
  async #declare(model: ChannelModel, { name, type, durable }: ExchangeDeclaration): Promise<void> {
    try {
      const assert = (channel: Channel): Promise<unknown> => channel.assertExchange(name, type, { durable });
      await onThrowAwayChannel(model, this.#settings.clock, assert);
    } catch (error) {
      if (replyCode(error) !== 406) throw error;
    }
  }
}
