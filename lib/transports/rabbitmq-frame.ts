import type { ConfirmChannel, Message } from 'amqplib';
import type { Frame, FrameProperties, Headers } from '../message.js';

/** What a publish adds to a frame. */
export interface PublishStamp {
  readonly copy: string;
  /** Epoch ms. */
  readonly due: number | undefined;
  /** Set on the way through the delay queues only: where it goes when it is due. */
  readonly dueQueue: string | undefined;
  /** Epoch ms. In the delay queues a header, for there the property would take effect too early; else the property. */
  readonly expires: number | undefined;
  /** Epoch ms. */
  readonly now: number;
}

/** Where a message is published to. */
export interface Route {
  readonly exchange: string;
  readonly routingKey: string;
}

/** What the driver's `ConfirmChannel.publish` is made of, in the version that package.json pins. */
interface RawChannel {
  sendMessage(fields: object, properties: object, body: Buffer): boolean;
  pushConfirmCallback(): void;
}

/** ms, ten years: for more RabbitMQ closes the channel, under every publish on it, and again for each new try. */
const LONGEST_EXPIRATION = 315_360_000_000;
/** The largest integer of 32 bits. */
const INT_MAX = 0x7fffffff;

const PROPERTIES = [
  'contentType',
  'contentEncoding',
  'correlationId',
  'messageId',
  'replyTo',
  'priority',
  'expiration',
  'timestamp',
] as const satisfies readonly (keyof FrameProperties)[];

/** A message of the driver as a frame; absent properties are absent. */
export function toFrame({ properties, content }: Message): Frame {
  const known: Record<string, unknown> = {};
  for (const name of PROPERTIES) if (properties[name] !== undefined) known[name] = properties[name];
  return { properties: known, headers: properties.headers ?? {}, body: content };
}

/** Sends one message on a confirm channel, mandatory; false when the driver's buffer is full. */
export function send(channel: ConfirmChannel, route: Route, frame: Frame, stamp: PublishStamp): boolean {
  const raw = channel as unknown as RawChannel;
  const { exchange, routingKey } = route;
  // The driver's own `publish` without its detour: that one makes the headers the prototype of another object.
  const written = raw.sendMessage(
    { exchange, routingKey, mandatory: true },
    new StampedProperties(frame, stamp),
    frame.body,
  );
  raw.pushConfirmCallback();
  return written;
}

/**
 * What the driver is told of a message besides its body. Headers of a former life stay behind: the broker's `x-` headers
 * (a copied `x-death` makes it drop the message silently), `CC` and `BCC` (it would copy the message to further queues),
 * and a former stamp.
 */
export class StampedProperties {
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly correlationId: string | undefined;
  readonly messageId: string | undefined;
  readonly replyTo: string | undefined;
  readonly priority: number | undefined;
  readonly expiration: string | undefined;
  readonly timestamp: number | undefined;
  readonly deliveryMode = 2;
  /** The headers of the frame, those of a former life included. */
  readonly former: Headers;
  readonly stamp: PublishStamp;

  constructor({ properties, headers }: Frame, stamp: PublishStamp) {
    this.contentType = properties.contentType;
    this.contentEncoding = properties.contentEncoding;
    this.correlationId = properties.correlationId;
    this.messageId = properties.messageId;
    this.replyTo = properties.replyTo;
    this.priority = properties.priority;
    this.expiration = expirationOf(stamp) ?? properties.expiration;
    this.timestamp = properties.timestamp;
    this.former = headers;
    this.stamp = stamp;
  }

  /** Copied when it is asked for, by the driver: a copy takes longer than all the rest of a publish. */
  get headers(): Headers {
    const fresh: Record<string, unknown> = {};
    for (const name in this.former) if (staysWith(name)) fresh[name] = legible(this.former[name]);
    const { copy, due, dueQueue, expires } = this.stamp;
    return { ...fresh, copy, due, due_queue: dueQueue, due_expires: dueQueue === undefined ? undefined : expires };
  }
}

/**
 * A header's value in a form that py-amqp reads as well. It takes RabbitMQ's 16-bit integers, which the driver writes for
 * 128 and more, for short strings: 300 becomes `','`, and a Celery worker ends over such a time limit; 32767 is no text at
 * all, and ends every worker on the queue. Negative ones it takes for positive, but for those of 32 bits. The encoder
 * writes the same.
 */
export function legible(value: unknown): unknown {
  if (typeof value === 'number') return legibleNumber(value);
  if (typeof value !== 'object' || value === null || '!' in value || Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(legible);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, legible(item)]));
}

function legibleNumber(value: number): unknown {
  if (!Number.isInteger(value) || (value >= 0 && value < 0x80) || value > INT_MAX) return value;
  return { '!': value < -INT_MAX ? 'double' : 'int', value };
}

const expirationOf = ({ dueQueue, expires, now }: PublishStamp): string | undefined =>
  dueQueue === undefined && expires !== undefined
    ? String(Math.min(Math.max(0, expires - now), LONGEST_EXPIRATION))
    : undefined;

const STAMP = new Set(['copy', 'due', 'due_queue', 'due_expires']);

/** Whether a header stays with its message from one publish to the next. */
export const staysWith = (name: string): boolean =>
  !(name.startsWith('x-') || name === 'CC' || name === 'BCC' || STAMP.has(name));
