import type { Clock } from './clock.js';
import type { Frame, Headers } from './message.js';

/** How a work queue is declared. `passive`: it is somebody else's (Celery's, say): checked, never declared. */
export interface QueueDeclaration {
  readonly name: string;
  /** @default 'quorum' */
  readonly type?: 'quorum' | 'classic';
  /** Classic queues only: the number of priorities. */
  readonly maxPriority?: number;
  /** @default false */
  readonly passive?: boolean;
  /** Of a passive queue: a classic queue of ours for its dead letters, since somebody of ours consumes it. @default false */
  readonly deadLetters?: boolean;
}

/** A message on its way out. */
export interface Outgoing {
  /** The queue that a worker shall take it from. */
  readonly queue: string;
  /** Published with a `copy` header fresh for each publish; `x-` headers of a former life are left out. */
  readonly frame: Frame;
  /** Epoch ms before which it must not reach `queue`. Less than a second away: delivered now, the worker waits. */
  readonly due?: number | undefined;
  /**
   * Epoch ms from which on the broker may drop it from `queue`, by itself: for a consumer that reads no header of ours.
   * A delay counts: once it is over, what is left of the time is given to the broker.
   */
  readonly expires?: number | undefined;
  /** How long to try, ms; connecting, blocked links and unknown outcomes included. */
  readonly timeout: number;
}

/**
 * What became of settling a delivery. `stale`: it was settled before, or its channel is gone and the broker has given
 * the message to somebody else. Nothing was sent then.
 */
export type Settled = 'settled' | 'stale';

/** One delivery. It settles on the channel that brought it, or not at all. */
export interface Delivery {
  readonly queue: string;
  readonly frame: Frame;
  /** The broker delivered this message before. */
  readonly redelivered: boolean;
  /** Settled, or its channel is gone. */
  readonly stale: boolean;
  ack(): Settled;
  /** Back into the queue, for whoever comes first. */
  requeue(): Settled;
  /**
   * Resolves when everything that was settled so far on this delivery's channel is with the operating system, so that a
   * process that dies right afterwards has settled it all the same; at once when the channel is gone. The broker has
   * not answered by then (it answers no acknowledgement), and a link that is lost loses it.
   */
  flushed(): Promise<void>;
}

/** What a consumer does with deliveries. */
export interface DeliveryHandler {
  /** Must not throw. At most `prefetch` deliveries are unsettled at a time. */
  deliver(delivery: Delivery): void;
  /** The channel was lost: every delivery of it that was not settled is stale now. The consumer is re-established. */
  lost(): void;
}

/** A running subscription. */
export interface Subscription {
  /** Messages come now: false while a lost consumer is being re-established. @default true */
  readonly attached?: boolean;
  /** Stops deliveries. Unsettled ones stay open until they are settled or the transport closes. */
  cancel(): Promise<void>;
}

/** A relay at work. */
export interface Relaying extends Subscription {
  /** Whether messages that are due by now are still on their way to their queues. */
  busy(): Promise<boolean>;
}

/** Messages of a queue, one by one, for operators: on a channel of its own, outside every consumer. */
export interface Pull {
  /** The next message; undefined when the queue has no more. `BrokerUnavailableError` when the channel is gone. */
  next(): Promise<Delivery | undefined>;
  /**
   * Puts back what was not settled. It is flagged as redelivered from then on, and a quorum queue may give it its place
   * behind others; so who only looks disturbs the order a little.
   */
  close(): Promise<void>;
}

/** An exchange that others declare as well, all in the same way. */
export interface ExchangeDeclaration {
  readonly name: string;
  readonly type: 'topic' | 'direct' | 'fanout';
  readonly durable: boolean;
}

/** Something for whoever listens right now: neither stored nor confirmed. */
export interface Notice {
  /** One of the declared ones. */
  readonly exchange: string;
  readonly routingKey: string;
  readonly headers: Headers;
  /** JSON. */
  readonly body: Buffer;
}

/** What is heard and told beside the work. */
export interface SidelineOptions {
  /** Declared, and may be sent to. One that exists is used as it is. */
  readonly exchanges: readonly ExchangeDeclaration[];
  /** A queue of this process alone, gone with its link, that gets whatever comes through a fanout exchange. */
  readonly mailbox: {
    readonly queue: string;
    readonly exchange: ExchangeDeclaration;
    /** ms that a message may wait in it. */
    readonly ttl: number;
    /** Must not throw. The message is gone, whatever becomes of it. */
    deliver(frame: Frame): void;
  };
  /** Notices can be sent, for the first time or again. Must not throw. */
  ready(): void;
}

/** An open sideline. It comes back by itself when a link was lost. */
export interface Sideline {
  /** False while there is no link, the broker blocks it, or what was sent is not written yet. */
  readonly writable: boolean;
  /** Dropped while it is not writable. Never throws, never waits. */
  send(notice: Notice): void;
  /** Resolves when what was sent is with the broker, or it does not answer. */
  close(): Promise<void>;
}

/** What a transport has to say besides the outcomes of its calls. */
export interface TransportEvents {
  connected(link: 'publish' | 'consume'): void;
  disconnected(link: 'publish' | 'consume', error: Error | undefined): void;
  /** The broker raised an alarm (true) or cleared it (false): publishes wait. */
  blocked(blocked: boolean, reason: string | undefined): void;
  /** The relay took a message whose `expires` had passed while it was delayed; it is gone. */
  expired?(frame: Frame, queue: string, expires: number): void;
}

/**
 * How a link to the broker stands. `blocked`: an alarm, and the broker takes no messages. `refused`: the broker refuses the
 * login, and nobody tries again.
 */
export type LinkState = 'up' | 'blocked' | 'down' | 'refused';

/** How a transport stands now, for probes. */
export interface TransportHealth {
  readonly publish: LinkState;
  readonly consume: LinkState;
  /** For people: what the alarm is about, or why there is no link; undefined when both are up. */
  readonly reason: string | undefined;
}

/** Queue figures, for people and for drains. */
export interface QueueFigures {
  readonly ready: number;
  readonly consumers: number;
}

/**
 * The port to a broker. Delivery is at least once. Errors are those of errors.ts; nothing of a driver passes.
 */
export interface Transport {
  /** Address for people, secrets masked. */
  readonly address: string;
  /** How often the broker expects a sign of life, ms; it cuts who is silent for two of them. @default it does not mind */
  readonly heartbeat?: number;
  /** Called once, before anything else. */
  listen(events: TransportEvents): void;
  /** Opens the links; resolves when the broker is there. Rejects with `BrokerUnavailableError` after `timeout` ms,
   * with `AccessRefusedError` at once. Called again it waits for the same links. */
  connect(timeout: number): Promise<void>;
  /** Declares work queues with their dead-letter queues. `QueueMismatchError` when one exists with other arguments. */
  declare(queues: readonly QueueDeclaration[]): Promise<void>;
  /**
   * Resolves when the broker has confirmed the message. Rejects with `UnroutableError`, `PublishRefusedError`,
   * `BrokerUnavailableError` (certainly not published) or `PublishOutcomeUnknownError` (nobody knows).
   * After a lost link the same id is published again until `timeout`.
   */
  publish(outgoing: Outgoing): Promise<void>;
  /** Consumes until cancelled, across reconnects. */
  consume(queue: string, prefetch: number, handler: DeliveryHandler): Promise<Subscription>;
  /** Moves messages that fall due from the delay topology to their work queues, while open. A worker calls it. */
  relay(): Promise<Relaying>;
  /**
   * Notices out and in, on channels of their own: they never hold up a task. Resolves when both are open; rejects with
   * `AccessRefusedError` when this user may not. @default nobody outside could listen
   */
  sideline?(options: SidelineOptions): Promise<Sideline>;
  /** Takes messages without consuming: what is not settled goes back. `UnroutableError` when there is no such queue. */
  pull(queue: string): Promise<Pull>;
  figures(queue: string): Promise<QueueFigures>;
  /** Without asking anybody. */
  health(): TransportHealth;
  /** Waits for open confirms, closes channels, then links. */
  close(): Promise<void>;
}

/** Where a task goes when nothing more can be done for it. */
export const deadQueue = (queue: string): string => `${queue}.dead`;

/** A value for the `copy` header: the end of a UUID, for it stands in every record of a running key. */
export const freshCopy = (clock: Clock): string => clock.uuid().slice(-12);
