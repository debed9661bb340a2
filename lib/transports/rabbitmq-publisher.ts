import { type ChannelModel, type ConfirmChannel, IllegalOperationError, type Message } from 'amqplib';
import { type Clock, pause, type Timer } from '../clock.js';
import { BrokerUnavailableError, ClosedError, PublishRefusedError, TaskError, toError } from '../errors.js';
import { freshCopy, type Outgoing } from '../transport.js';
import { type Deferred, deferred } from './promises.js';
import { closeChannel, openChannel } from './rabbitmq-channel.js';
import { replyCode } from './rabbitmq-errors.js';
import { type Route, send } from './rabbitmq-frame.js';
import { backOff, type Link } from './rabbitmq-link.js';
import { PendingPublish, PublishBacklog } from './rabbitmq-pending.js';
import { rungFor, rungName } from './rabbitmq-topology.js';

/** Publishes that may wait for their confirms at a time, and the bytes of their bodies. */
const WINDOW = 1_000;
const WINDOW_BYTES = 16 * 1024 * 1024;
/** Publishes that may wait for the window, and their bytes; beyond, a process produces faster than its broker takes. */
const BACKLOG = 100_000;
const BACKLOG_BYTES = 128 * 1024 * 1024;
/** ms between looks at the deadlines and at what was refused; one timer for all of them. */
const SWEEP = 100;
const TOO_LARGE = /message size \d+ is larger than configured max size (\d+)/;

/** What a publisher needs to know. */
export interface PublisherSettings {
  readonly link: Link;
  readonly clock: Clock;
  readonly namespace: string;
  /** Called before the first channel is opened, and again when an exchange was missing. A `TaskError` ends the publisher. */
  readonly prepare: (model: ChannelModel) => Promise<void>;
}

/** Publishes, mandatory and confirmed, on one channel of one link that comes back by itself. */
export class Publisher {
  readonly #settings: PublisherSettings;
  readonly #waiting = new PublishBacklog();
  /** By delivery tag, in the order of the tags. */
  readonly #sent = new Map<number, PendingPublish>();
  /** Refused, and sent again at the next sweep. */
  #refused: PendingPublish[] = [];
  readonly #stop = new AbortController();
  readonly #opened: Deferred<void> = deferred();
  #sentBytes = 0;
  #model: ChannelModel | undefined;
  #channel: ConfirmChannel | undefined;
  #tag = 0;
  #blocked = false;
  #full = false;
  #largest = Infinity;
  #over: Error | undefined;
  #sweeper: Timer | undefined;
  #idle: Deferred<void> | undefined;

  constructor(settings: PublisherSettings) {
    this.#settings = settings;
  }

  /** Starts to look after its channel; resolves when there is one for the first time. */
  start(): Promise<void> {
    void this.#run().catch((error: unknown) => this.#end(toError(error)));
    return this.#opened.promise;
  }

  /** Settles as `Transport.publish` does; as if its time were up soon after `over` has aborted. */
  publish(outgoing: Outgoing, over?: AbortSignal): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    if (this.#waiting.size + this.#refused.length >= BACKLOG || this.#waiting.bytes >= BACKLOG_BYTES) {
      return Promise.reject(this.#overflow());
    }
    return new Promise((resolve, reject) => {
      const deadline = this.#settings.clock.monotonic() + outgoing.timeout;
      this.#waiting.push(new PendingPublish(outgoing, deadline, { resolve, reject }, over));
      this.#pump();
      this.#arm();
    });
  }

  #overflow(): BrokerUnavailableError {
    const { size, bytes } = this.#waiting;
    const { alarm, lastError } = this.#settings.link;
    const why = alarm === undefined ? (lastError?.message ?? 'this process publishes faster') : `alarm: ${alarm}`;
    const text = `${size} messages (${Math.round(bytes / 2 ** 20)} MiB) wait here for RabbitMQ to take them (${why})`;
    return new BrokerUnavailableError(`${text}; this one was not published`, { waiting: size, bytes }, lastError);
  }

  /** Resolves when every publish so far has its outcome; each has a deadline. */
  async idle(): Promise<void> {
    if (this.#pending === 0) return;
    this.#idle ??= deferred();
    await this.#idle.promise;
  }

  /** Refuses what comes, and closes the channel. */
  async close(): Promise<void> {
    const channel = this.#channel;
    this.#end(new ClosedError('the transport was closed'));
    if (channel !== undefined) await closeChannel(channel, this.#settings.clock);
  }

  get #pending(): number {
    return this.#waiting.size + this.#sent.size + this.#refused.length;
  }

  /** Ends by the rejection of `ready`: closed, or refused for good. */
  async #run(): Promise<void> {
    const { link, clock, prepare } = this.#settings;
    let prepared = false;
    for (let attempt = 0; !this.#stop.signal.aborted; attempt += 1) {
      const model = await link.ready();
      const opened = clock.monotonic();
      try {
        if (!prepared) await prepare(model);
        const error = await this.#life(model);
        prepared = replyCode(error) !== 404;
        if (error === undefined || clock.monotonic() - opened > 1_000) attempt = 0;
      } catch (error) {
        if (error instanceof TaskError && !(error instanceof BrokerUnavailableError)) throw error;
      }
      await pause(clock, backOff(clock, attempt), this.#stop.signal);
    }
  }

  /** An alarm outlives the channels of its connection. */
  #follow(model: ChannelModel): void {
    if (this.#model === model) return;
    this.#model = model;
    this.#blocked = false;
    model.on('blocked', () => this.#hold({ blocked: true }));
    model.on('unblocked', () => this.#hold({ blocked: false }));
  }

  async #life(model: ChannelModel): Promise<Error | undefined> {
    this.#follow(model);
    const lost = deferred<Error | undefined>();
    const channel = await openChannel(model, 'confirm', (error) => {
      this.#lost(error);
      lost.resolve(error);
    });
    channel.on('ack', ({ deliveryTag, multiple }) => this.#confirmed(deliveryTag, multiple, true));
    channel.on('nack', ({ deliveryTag, multiple }) => this.#confirmed(deliveryTag, multiple, false));
    channel.on('return', (message) => this.#returned(message));
    channel.on('drain', () => this.#hold({ full: false }));
    this.#channel = channel;
    this.#tag = 0;
    this.#opened.resolve();
    this.#hold({ full: false });
    return lost.promise;
  }

  #hold({ full = this.#full, blocked = this.#blocked }: { full?: boolean; blocked?: boolean }): void {
    this.#full = full;
    this.#blocked = blocked;
    this.#pump();
  }

  #pump(): void {
    while (this.#channel !== undefined && !this.#full && !this.#blocked) {
      if (this.#sent.size >= WINDOW || this.#sentBytes >= WINDOW_BYTES) return;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#send(next, this.#channel);
    }
  }

  #send(pending: PendingPublish, channel: ConfirmChannel): void {
    const { clock } = this.#settings;
    const { frame, queue, due, expires } = pending.outgoing;
    const now = clock.now();
    const rung = due === undefined ? undefined : rungFor(due - now);
    const dueQueue = rung === undefined ? undefined : queue;
    pending.sending(freshCopy(clock));
    try {
      if (frame.body.length > this.#largest) throw new Error(`the broker takes ${this.#largest} bytes at most`);
      this.#full = !send(channel, this.#route(queue, rung), frame, { copy: pending.copy, due, dueQueue, expires, now });
    } catch (error) {
      this.#unsent(pending, error);
      return;
    }
    this.#sentBytes += pending.bytes;
    this.#sent.set(++this.#tag, pending);
  }

  #route(queue: string, rung: number | undefined): Route {
    if (rung === undefined) return { exchange: '', routingKey: queue };
    return { exchange: rungName(this.#settings.namespace, rung), routingKey: '' };
  }

  /** The channel is going, and another will take it; or the driver cannot encode it. */
  #unsent(pending: PendingPublish, error: unknown): void {
    if (error instanceof IllegalOperationError) {
      this.#channel = undefined;
      this.#waiting.unshift([pending]);
      return;
    }
    const text = `the message cannot be published: ${toError(error).message}`;
    pending.reject(new PublishRefusedError(text, pending.data, error));
    this.#rest();
  }

  #confirmed(tag: number, multiple: boolean, accepted: boolean): void {
    if (multiple) {
      for (const earlier of this.#sent.keys()) {
        if (earlier > tag) break;
        this.#settle(earlier, accepted);
      }
    } else this.#settle(tag, accepted);
    this.#pump();
    this.#rest();
  }

  #settle(tag: number, accepted: boolean): void {
    const pending = this.#take(tag);
    if (pending === undefined) return;
    if (accepted) pending.confirmed();
    else if (pending.refused(this.#settings.clock.monotonic())) this.#refused.push(pending);
  }

  #take(tag: number): PendingPublish | undefined {
    const pending = this.#sent.get(tag);
    if (pending === undefined) return undefined;
    this.#sent.delete(tag);
    this.#sentBytes -= pending.bytes;
    return pending;
  }

  /** A returned message comes before its confirm, and carries no tag. Returns come in order: it is among the first. */
  #returned({ properties }: Message): void {
    const copy: unknown = properties.headers?.['copy'];
    for (const pending of this.#sent.values()) {
      if (pending.copy !== copy) continue;
      pending.returned = true;
      return;
    }
  }

  /** Nobody knows what became of the messages without a confirm: they are published again. */
  #lost(error: Error | undefined): void {
    const largest = Number(TOO_LARGE.exec(error?.message ?? '')?.[1] ?? Infinity);
    this.#largest = Math.min(this.#largest, largest);
    this.#channel = undefined;
    for (const pending of this.#sent.values()) pending.lost(largest);
    this.#waiting.unshift([...this.#sent.values()]);
    this.#sent.clear();
    this.#sentBytes = 0;
  }

  #arm(): void {
    this.#sweeper ??= this.#settings.clock.after(SWEEP, () => {
      this.#sweeper = undefined;
      this.#sweep();
      this.#pump();
      this.#rest();
      if (this.#pending > 0) this.#arm();
    });
  }

  #sweep(): void {
    this.#waiting.unshift(this.#refused);
    this.#refused = [];
    const now = this.#settings.clock.monotonic();
    const { link } = this.#settings;
    for (const pending of this.#waiting.overdue(now)) pending.expire(false, link);
    for (const [tag, pending] of this.#sent) if (pending.isOverdue(now)) this.#take(tag)?.expire(true, link);
  }

  #rest(): void {
    if (this.#pending > 0 || this.#idle === undefined) return;
    this.#idle.resolve();
    this.#idle = undefined;
  }

  #end(error: Error): void {
    this.#over ??= error;
    this.#stop.abort();
    this.#opened.reject(this.#over);
    this.#channel = undefined;
    this.#waiting.unshift(this.#refused);
    this.#refused = [];
    for (const pending of this.#waiting.drain()) pending.abandon(this.#over);
    for (const tag of this.#sent.keys()) this.#take(tag)?.abandon(this.#over, true);
    this.#sweeper?.cancel();
    this.#rest();
  }
}
