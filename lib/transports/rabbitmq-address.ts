import { ConfigError } from '../errors.js';

/** Seconds; a dead peer is noticed after two of them. */
const HEARTBEAT = '20';

/** Where a broker is. */
export interface RabbitAddress {
  /** With the password: for the driver only. */
  readonly url: string;
  /** For people: the password is masked, the options are left out. */
  readonly text: string;
  readonly vhost: string;
  /** ms */
  readonly heartbeat: number;
}

/** Reads an `amqp://` or `amqps://` URL; `ConfigError` when it is none. The URL itself is never in an error. */
export function parseAddress(url: string): RabbitAddress {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol !== 'amqp:' && parsed?.protocol !== 'amqps:') {
    throw new ConfigError('the address of RabbitMQ must look like amqp://user:password@host:5672/vhost');
  }
  const heartbeat = parsed.searchParams.get('heartbeat') ?? HEARTBEAT;
  if (!/^[1-9]\d*$/.test(heartbeat)) {
    throw new ConfigError('heartbeat in the address of RabbitMQ must be a number of seconds above 0', { heartbeat });
  }
  parsed.searchParams.set('heartbeat', heartbeat);
  return {
    url: parsed.href,
    text: masked(parsed),
    vhost: decodeURIComponent(parsed.pathname.slice(1)) || '/',
    heartbeat: Number(heartbeat) * 1000,
  };
}

function masked({ protocol, username, password, host, pathname }: URL): string {
  const secret = password === '' ? '' : ':***';
  const login = username === '' && secret === '' ? '' : `${username}${secret}@`;
  return `${protocol}//${login}${host}${pathname}`;
}
