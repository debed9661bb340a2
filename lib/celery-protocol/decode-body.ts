import { isUtf8 } from 'node:buffer';
import { unzipSync } from 'node:zlib';
import { toError, UnreadableMessageError } from '../errors.js';
import type { Frame, MessageBody } from '../message.js';
import { parseKombu } from './kombu-json.js';

/** RabbitMQ takes no larger message by default; what inflates beyond it is no honest body. */
const LARGEST_BODY = 128 * 1024 * 1024;
const ENCODINGS: ReadonlySet<string | undefined> = new Set([undefined, 'utf-8', 'utf8', 'us-ascii']);
const NO_NUMBER = /\b(NaN|Infinity)\b/;
const LINKS = ['callbacks', 'errbacks', 'chain', 'chord'];

/** The arguments of a task message. `UnreadableMessageError` with the reason when it is not one that can be run. */
export function decodeBody(frame: Frame): MessageBody {
  const { contentType, contentEncoding } = frame.properties;
  if (contentType?.toLowerCase() !== 'application/json') {
    throw unreadable(
      `the content type is ${contentType === undefined ? 'missing' : quoted(contentType)}, not 'application/json'`,
    );
  }
  if (!ENCODINGS.has(contentEncoding?.toLowerCase())) {
    throw unreadable(`the content encoding is ${quoted(contentEncoding)}, not 'utf-8'`);
  }
  return elements(parse(inflated(frame), frame.headers['lang'] === 'js'));
}

const unreadable = (reason: string, cause?: unknown): UnreadableMessageError =>
  new UnreadableMessageError(`unreadable task message: ${reason}`, {}, cause);

const quoted = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : `of type ${typeof value}`);

function inflated({ headers, body }: Frame): Buffer {
  const compression = headers['compression'] ?? undefined;
  if (compression === undefined) return body;
  if (compression !== 'application/x-gzip') throw unreadable(`the compression ${quoted(compression)} is not supported`);
  try {
    return unzipSync(body, { maxOutputLength: LARGEST_BODY });
  } catch (error) {
    throw unreadable(`the body cannot be decompressed (${toError(error).message})`, error);
  }
}

/** `own`: of solotask, which writes plain JSON. */
function parse(body: Buffer, own: boolean): unknown {
  if (!isUtf8(body)) throw unreadable('the body is not UTF-8');
  const text = body.toString();
  try {
    return own ? JSON.parse(text) : parseKombu(text);
  } catch (error) {
    const hint = NO_NUMBER.test(text) ? ' (Python writes NaN and Infinity, which JSON does not have)' : '';
    throw unreadable(`the body is not JSON${hint}`, error);
  }
}

function elements(body: unknown): MessageBody {
  if (!Array.isArray(body) || body.length !== 3) {
    throw unreadable('the body is not an array of three elements: [args, kwargs, embed]');
  }
  const [args, kwargs, embed] = body as [unknown, unknown, unknown];
  if (!Array.isArray(args)) throw unreadable('the first element of the body, args, is not an array');
  if (!isObject(kwargs)) throw unreadable('the second element of the body, kwargs, is not an object');
  if (embed !== null && !isObject(embed)) throw unreadable('the third element of the body, embed, is not an object');
  refuseLinks(embed ?? {});
  return { args, kwargs };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Running the task and forgetting what was to follow would look like success to the sender. */
function refuseLinks(embed: Readonly<Record<string, unknown>>): void {
  const asked = LINKS.filter((name) => {
    const value = embed[name];
    return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null;
  });
  if (asked.length > 0) throw unreadable(`${asked.join(', ')}: links, chains and chords are not supported`);
}
