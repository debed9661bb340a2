import type { Message, Options } from 'amqplib';
import type { Frame, FrameProperties } from '../message.js';

/** What a publish adds to a frame. */
export interface PublishStamp {
  readonly copy: string;
  /** Epoch ms. */
  readonly due: number | undefined;
  /** Set on the way through the delay queues only: where it goes when it is due. */
  readonly dueQueue: string | undefined;
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
 * Options of one publish. Headers of a former life stay behind: the broker's `x-` headers (a copied `x-death` makes it
 * drop the message silently), `CC` and `BCC` (it would copy the message to further queues), and a former stamp.
 */
export function publishOptions({ properties, headers }: Frame, { copy, due, dueQueue }: PublishStamp): Options.Publish {
  const fresh: Record<string, unknown> = {};
  for (const name in headers) {
    if (name !== 'CC' && name !== 'BCC' && !name.startsWith('x-')) fresh[name] = headers[name];
  }
  fresh['copy'] = copy;
  fresh['due'] = due;
  fresh['due_queue'] = dueQueue;
  return { ...properties, headers: fresh, persistent: true, mandatory: true };
}
