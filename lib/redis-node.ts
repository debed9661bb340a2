import { ConfigError } from './errors.js';

/** A Redis URL. `option` is what it was given for. @throws ConfigError that does not repeat it: it may hold a password. */
export function parseRedisUrl(text: string, option: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^rediss?:$/.test(url.protocol) && url.hostname !== '') return url;
  throw new ConfigError(`${option}: a Redis URL looks like redis://user:password@host:6379/0`, { option });
}

/** A URL for people: without its password, and without its query, which may hold one. */
export function maskedRedisUrl(url: URL): string {
  const login = url.password === '' ? url.username : `${url.username}:***`;
  return `${url.protocol}//${login === '' ? '' : `${login}@`}${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}

/** What Redis says when a login does not work: trying again does not help. */
export const LOGIN_REFUSED = /^(WRONGPASS|NOAUTH|NOPERM)\b/;

/** The driver's words without its copy of the command: that holds arguments, or a password. */
export function bare(error: Error): Error {
  const { code } = error as NodeJS.ErrnoException;
  return Object.assign(new Error(error.message), code === undefined ? {} : { code });
}
