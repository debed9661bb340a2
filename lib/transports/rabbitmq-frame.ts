import type { ConfirmChannel, Message } from 'amqplib';
import type { Frame, FrameProperties } from '../message.js';

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

/**
 * Sends one message on a confirm channel; false when the driver's buffer is full. Headers of a former life stay behind:
 * the broker's `x-` headers (a copied `x-death` makes it drop the message silently), `CC` and `BCC` (it would copy the
 * message to further queues), and a former stamp.
 *
 * This is the driver's own `publish` without its detour: that one makes the headers the prototype of another object,
 * and the encoder, which walks over them, then takes twice as long.
 */
export function send(
  channel: ConfirmChannel,
  route: Route,
  { properties, headers, body }: Frame,
  stamp: PublishStamp,
): boolean {
  const fresh: Record<string, unknown> = {};
  for (const name in headers) if (!isBrokers(name)) fresh[name] = headers[name];
  fresh['copy'] = stamp.copy;
  fresh['due'] = stamp.due;
  fresh['due_queue'] = stamp.dueQueue;
  fresh['due_expires'] = stamp.dueQueue === undefined ? undefined : stamp.expires;
  const raw = channel as unknown as RawChannel;
  const { exchange, routingKey } = route;
  const lasting = persistent(properties, fresh, expirationOf(stamp) ?? properties.expiration);
  const written = raw.sendMessage({ exchange, routingKey, mandatory: true }, lasting, body);
  raw.pushConfirmCallback();
  return written;
}

/** Written out: building it by a spread takes as long as all the rest of a publish. */
function persistent(properties: FrameProperties, headers: object, expiration: string | undefined): object {
  const { contentType, contentEncoding, correlationId, messageId, replyTo, priority, timestamp } = properties;
  return {
    contentType,
    contentEncoding,
    correlationId,
    messageId,
    replyTo,
    priority,
    expiration,
    timestamp,
    headers,
    deliveryMode: 2,
  };
}

const expirationOf = ({ dueQueue, expires, now }: PublishStamp): string | undefined =>
  dueQueue === undefined && expires !== undefined ? String(Math.max(0, expires - now)) : undefined;

const isBrokers = (name: string): boolean => name.startsWith('x-') || name === 'CC' || name === 'BCC';
