import { TaskError, toError } from '../errors.js';

/** How `task-worker` ends: BSD's sysexits where they fit, so that a supervisor can tell "later" from "never". */
export const EXIT = { ok: 0, failed: 1, usage: 64, unavailable: 69, config: 78, interrupted: 130 } as const;

/** The command line asks for something that there is not. */
export class UsageError extends TaskError {
  constructor(message: string, cause?: unknown) {
    super('USAGE', message, {}, cause);
  }
}

/** By code, not by class: the app may come from another copy of the package. A refused login is no outage. */
const CODES: Readonly<Record<string, number>> = {
  USAGE: EXIT.usage,
  BROKER_UNAVAILABLE: EXIT.unavailable,
  LOCK_UNAVAILABLE: EXIT.unavailable,
  ACCESS_REFUSED: EXIT.config,
  QUEUE_MISMATCH: EXIT.config,
  CONFIG: EXIT.config,
  DECORATOR_MODE: EXIT.config,
  NOT_YET: EXIT.config,
  NOT_A_TASK: EXIT.config,
  KEY: EXIT.usage,
  PAYLOAD: EXIT.usage,
  UNROUTABLE: EXIT.unavailable,
  PUBLISH_REFUSED: EXIT.unavailable,
  PUBLISH_UNKNOWN: EXIT.unavailable,
  DUPLICATE_UNDECIDED: EXIT.unavailable,
  DUPLICATE: EXIT.failed,
};

/** The stable code of an error of ours, or of a driver's; undefined for any other. */
export function codeOf(error: Error): string | undefined {
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' ? code : undefined;
}

/** The status to end with because of `thrown`; 1 when nobody foresaw it. */
export function exitCode(thrown: unknown): number {
  return CODES[codeOf(toError(thrown)) ?? ''] ?? EXIT.failed;
}

/** What to look at where the error is not about the code: by code, for whoever reads the last line of a worker. */
const ADVICE: Readonly<Record<string, string>> = {
  BROKER_UNAVAILABLE: '; is RabbitMQ running there, and is AMQP_URL (or broker in createApp) right?',
  LOCK_UNAVAILABLE: '; is Redis running there, and is REDIS_URL (or locks in createApp) right?',
  ACCESS_REFUSED: '; correct the login in AMQP_URL or REDIS_URL (or createApp), or the rights of this user',
};

/** An error in one line, with what to look at. */
export const explained = (error: Error): string => oneLine(error.message) + (ADVICE[codeOf(error) ?? ''] ?? '');

/** Its text says it all. */
export const foreseen = (error: Error): boolean => (codeOf(error) ?? '') in CODES;

/** For calls whose arguments came from the command line. */
export function asUsage(thrown: unknown): never {
  const error = toError(thrown);
  throw codeOf(error) === 'CONFIG' ? new UsageError(error.message, error) : error;
}

/** An error's text without line breaks and other control characters. */
export const oneLine = (text: string): string => text.replace(/\s*\p{Cc}+\s*/gu, ' ').trim();
