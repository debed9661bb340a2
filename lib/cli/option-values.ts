import { InvalidArgumentError } from 'commander';
import { duration } from '../duration.js';
import { NotYetError } from '../errors.js';

/** The levels of the log, the wordiest first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogThreshold = (typeof LOG_LEVELS)[number];

/** An empty variable in the environment (`REDIS_URL=` in a compose file) is one that is not set. */
const given =
  <T>(parse: (text: string) => T) =>
  (text: string): T | undefined =>
    text.trim() === '' ? undefined : parse(text.trim());

export const textValue = given((text) => text);

export const countValue = given((text) => {
  if (/^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError('It takes a whole number from 1 to 65535.');
});

/** 0: any that is free. */
export const portValue = given((text) => {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError('It takes a port from 0 to 65535; 0 takes any that is free.');
});

/** Milliseconds from `25s`, `500ms` or a bare number of milliseconds. */
export const durationValue = given((text) => {
  try {
    return duration(/^\d+$/.test(text) ? Number(text) : text, 'it');
  } catch {
    throw new InvalidArgumentError("It takes a duration such as '500ms', '25s' or '2m'.");
  }
});

/** Names between commas. */
export const queuesValue = given((text) => {
  const names = text.split(',').map((name) => name.trim());
  const weighted = names.find((name) => /:\d+$/.test(name));
  if (weighted !== undefined) {
    throw new NotYetError(`a concurrency per queue (-q ${weighted}) is not built yet; leave the number out`, {
      option: '--queues',
    });
  }
  if (names.includes('')) throw new InvalidArgumentError('It takes names of queues, with commas between them.');
  return names;
});

export const levelValue = given((text) => {
  const level = LOG_LEVELS.find((one) => one === text.toLowerCase());
  if (level === undefined) throw new InvalidArgumentError(`It takes one of ${LOG_LEVELS.join(', ')}.`);
  return level;
});
