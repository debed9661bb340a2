import { InvalidArgumentError } from 'commander';
import { duration } from '../duration.js';

/** The levels of the log, the wordiest first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogThreshold = (typeof LOG_LEVELS)[number];

/** An empty variable in the environment (`REDIS_URL=` in a compose file) is one that is not set. */
const given =
  <T>(parse: (text: string) => T) =>
  (text: string): T | undefined =>
    text.trim() === '' ? undefined : parse(text.trim());

export const textValue = given((text) => text);

const wholeValue = (most: number): ((text: string) => number | undefined) =>
  given((text) => {
    if (/^[1-9]\d{0,9}$/.test(text) && Number(text) <= most) return Number(text);
    throw new InvalidArgumentError(`It takes a whole number from 1 to ${most}.`);
  });

export const countValue = wholeValue(65_535);
export const runsValue = wholeValue(1_000_000_000);

/** 0: a free one. */
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
export const queuesValue = given(queueNames);

function queueNames(text: string): readonly string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.includes('')) throw new InvalidArgumentError('It takes names of queues, with commas between them.');
  return names;
}

/** Names between commas, each with a concurrency of its own (`fast:20`) or without (`true`). */
export const shareValue = given((text) => {
  const shares = new Map<string, number | true>();
  for (const entry of queueNames(text)) {
    const [, name = entry, number] = /^(.+):(\d+)$/.exec(entry) ?? [];
    const share = number === undefined || countValue(number);
    if (share === undefined || (shares.get(name) ?? share) !== share) {
      throw new InvalidArgumentError(`It names the queue '${name}' twice.`);
    }
    shares.set(name, share);
  }
  return shares;
});

export const levelValue = given((text) => {
  const level = LOG_LEVELS.find((one) => one === text.toLowerCase());
  if (level === undefined) throw new InvalidArgumentError(`It takes one of ${LOG_LEVELS.join(', ')}.`);
  return level;
});
