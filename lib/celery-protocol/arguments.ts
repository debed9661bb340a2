import type { Frame, MessageBody } from '../message.js';
import { parseKombu } from './kombu-json.js';
import { bodyOf, reprHeaders } from './encode.js';

/** Arguments as the record of a key keeps them: JSON text of `[args, kwargs]`. */
export const argumentsText = ({ args, kwargs }: MessageBody): string => JSON.stringify([args, kwargs]);

/** What `argumentsText` wrote, or a Celery task in our lock space. */
export function readArguments(text: string): MessageBody {
  const [args, kwargs] = parseKombu(text) as [MessageBody['args'], MessageBody['kwargs']];
  return { args, kwargs };
}

/** The message with other arguments: for copies of a task that ran with newer ones than its message brought. */
export function withArguments({ properties, headers }: Frame, text: string): Frame {
  const { args, kwargs } = readArguments(text);
  const texts = [JSON.stringify(args), JSON.stringify(kwargs)] as const;
  const others = { ...headers };
  delete others['compression'];
  return {
    properties: { ...properties, contentType: 'application/json', contentEncoding: 'utf-8' },
    headers: { ...others, ...reprHeaders(...texts) },
    body: bodyOf(...texts),
  };
}
