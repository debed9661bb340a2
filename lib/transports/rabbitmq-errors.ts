import { AccessRefusedError, BrokerUnavailableError, ConfigError, QueueMismatchError, toError } from '../errors.js';
import type { TaskError } from '../errors.js';
import type { RabbitAddress } from './rabbitmq-address.js';

const MISMATCH = /inequivalent arg '([^']*)' for queue '(.*)' in vhost '.*': received (.*) but current is (.*?)"?$/s;

/** The AMQP reply code of a driver error; undefined for one of the socket. */
export const replyCode = (error: unknown): number | undefined => {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'number' ? code : undefined;
};

/**
 * Why a link could not be opened. The driver gives the broker's answer as text only, and hides the one to a virtual
 * host that does not exist or is not ours (it says "got ConnectionClose").
 */
export function connectError(thrown: unknown, { text, vhost }: RabbitAddress): TaskError {
  const cause = toError(thrown);
  const { message } = cause;
  const data = { address: text };
  if (/ACCESS[-_]REFUSED/.test(message)) {
    return new AccessRefusedError(`RabbitMQ at ${text} refuses the user or the password`, data, cause);
  }
  if (/Expected ConnectionOpenOk; got <ConnectionClose/.test(message)) {
    const why = `there is no virtual host '${vhost}', or this user may not use it`;
    return new AccessRefusedError(`RabbitMQ at ${text} closed the connection: ${why}`, { ...data, vhost }, cause);
  }
  return new BrokerUnavailableError(`RabbitMQ at ${text} cannot be reached: ${message}`, data, cause);
}

/** Why a declaration was refused; undefined when the link or the channel was merely lost. */
export function declareError(thrown: unknown, queue: string): TaskError | undefined {
  const cause = toError(thrown);
  switch (replyCode(thrown) ?? 0) {
    case 403:
      return new AccessRefusedError(`this user may not use the queue '${queue}': ${cause.message}`, { queue }, cause);
    case 404:
      return new ConfigError(`there is no queue '${queue}', and it is not ours to declare`, { queue }, cause);
    case 405:
      return new ConfigError(`the queue '${queue}' belongs to one connection only (exclusive)`, { queue }, cause);
    case 406:
      return mismatch(cause, queue);
    default:
      return undefined;
  }
}

function mismatch(cause: Error, queue: string): QueueMismatchError {
  const [, argument, , received, current] = MISMATCH.exec(cause.message) ?? [];
  if (argument === undefined || received === undefined || current === undefined) {
    return new QueueMismatchError(`the queue '${queue}' cannot be declared: ${cause.message}`, { queue }, cause);
  }
  const wanted = plain(received);
  const found = plain(current);
  return new QueueMismatchError(
    `the queue '${queue}' exists with other arguments: ${argument} is ${found}, and should be ${wanted}`,
    { queue, argument, wanted, found },
    cause,
  );
}

/** The broker writes `'5'`, `none` or `the value '5' of type 'byte'`. */
const plain = (text: string): string => /^the value '(.*)' of type/s.exec(text)?.[1] ?? text.replace(/^'(.*)'$/s, '$1');
