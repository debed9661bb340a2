import { pino, type DestinationStream, type Logger } from 'pino';
import { toError } from '../errors.js';
import { painter } from './colours.js';
import { codeOf } from './exit.js';
import type { LogThreshold } from './option-values.js';
import { prettyLine, type LogRecord } from './pretty-line.js';

/** How the log looks. */
export interface LogOptions {
  readonly format: 'json' | 'pretty';
  readonly level: LogThreshold;
  /** The worker's name, on each line. */
  readonly worker: string;
  /** 1: stdout, 2: stderr. */
  readonly fd: 1 | 2;
}

export type Log = Logger;

/** The worker's log. Written synchronously: the last line before the process ends is the one that matters. */
export function createLog({ format, level, worker, fd }: LogOptions): Log {
  const out = pino.destination({ fd, sync: true });
  const options = {
    level,
    base: { worker },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: errorFields },
  };
  return pino(options, format === 'json' ? out : prettily(out, fd));
}

function prettily(out: DestinationStream, fd: 1 | 2): DestinationStream {
  const paint = painter((fd === 1 ? process.stdout : process.stderr).isTTY, process.env);
  return { write: (line) => out.write(prettyLine(JSON.parse(line) as LogRecord, paint)) };
}

/** An error without the properties that drivers hang on it: a command's arguments may be a password. */
function errorFields(thrown: unknown, depth = 0): object | undefined {
  if (thrown === undefined || depth > 5) return undefined;
  const error = toError(thrown);
  const { name, message, stack, cause } = error;
  return { type: name, code: codeOf(error), message, stack, cause: errorFields(cause, depth + 1) };
}
