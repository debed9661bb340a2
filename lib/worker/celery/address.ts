import type { Frame } from '../../message.js';

/** A command that a Celery client has broadcast, and that is for this node. */
export interface Command {
  readonly method: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Undefined: nobody waits for an answer. */
  readonly reply: { readonly routingKey: string; readonly ticket: unknown } | undefined;
}

/** Where answers go; the client has a queue there. */
export const REPLIES = 'reply.celery.pidbox';

/**
 * Reads what came into the mailbox as kombu writes it; undefined for what is addressed to others, or is no command.
 * Source: kombu 5.2.4, `pidbox.Node.handle_message`.
 */
export function readCommand({ properties, body }: Frame, node: string): Command | undefined {
  if (properties.contentType !== 'application/json') return undefined;
  const message = object(parse(body));
  const method = message?.['method'];
  if (message === undefined || typeof method !== 'string' || !addressed(message, node)) return undefined;
  const { exchange, routing_key: routingKey } = object(message['reply_to']) ?? {};
  // Nobody has an answer sent to any other exchange: an unknown one would close the channel.
  const answers = exchange === REPLIES && typeof routingKey === 'string' && Buffer.byteLength(routingKey) <= 255;
  return {
    method,
    args: object(message['arguments']) ?? {},
    reply: answers ? { routingKey, ticket: message['ticket'] } : undefined,
  };
}

function addressed({ destination, pattern, matcher }: Record<string, unknown>, node: string): boolean {
  if (Array.isArray(destination) && destination.length > 0) return destination.includes(node);
  if (typeof destination === 'string' && destination !== '') return destination === node;
  if (typeof pattern !== 'string' || pattern === '' || !matcher) return true;
  try {
    if (matcher === 'glob') return new RegExp(`^(?:${globSource(pattern)})$`, 's').test(node);
    return matcher === 'pcre' && new RegExp(`^(?:${pattern})`).test(node);
  } catch {
    // A pattern that cannot be read names nobody.
    return false;
  }
}

/** As Python's `fnmatch`: `*`, `?`, `[ab]` and `[!ab]`. */
const globSource = (pattern: string): string =>
  pattern.replace(/\[(!?)(\]?[^\]]*)\]|[\s\S]/g, (one, not: string | undefined, set: string | undefined) => {
    if (set !== undefined) return `[${not === '!' ? '^' : ''}${set.replaceAll(/[\\\]^[]/g, String.raw`\$&`)}]`;
    if (one === '*') return '.*';
    return one === '?' ? '.' : one.replace(/[$()*+.?[\\\]^{|}]/, String.raw`\$&`);
  });

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

const object = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
