import type { Paint, Style } from './colours.js';
import { oneLine } from './exit.js';

/** A log record, as pino wrote it. */
export type LogRecord = Readonly<Record<string, unknown>>;

/** What the text does not say already. */
const FIELDS = ['key', 'id', 'attempt', 'data'];

const STYLES: Readonly<Record<string, Style>> = { warn: 'yellow', error: 'red', fatal: 'red', info: 'green' };

/** One record for a terminal: time, level, text and fields on a line; an error's stack below it. */
export function prettyLine(record: LogRecord, paint: Paint): string {
  const { time, level, msg, error } = record;
  const name = String(level);
  const fields = FIELDS.filter((field) => record[field] !== undefined).map(
    (field) => `${field}=${show(record[field])}`,
  );
  const parts = [
    paint('dim', new Date(String(time)).toTimeString().slice(0, 8)),
    paint(STYLES[name] ?? 'dim', name.toUpperCase().padEnd(5)),
    oneLine(String(msg)),
    ...(fields.length > 0 ? [paint('dim', fields.join(' '))] : []),
  ];
  return `${parts.join(' ')}\n${stackOf(error, paint)}`;
}

function show(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return typeof value === 'string' && /[\s"\p{Cc}]/u.test(text) ? JSON.stringify(text) : text;
}

function stackOf(error: unknown, paint: Paint): string {
  if (typeof error !== 'object' || error === null) return '';
  const stack: unknown = Reflect.get(error, 'stack');
  const own = typeof stack === 'string' ? `${paint('dim', stack.replace(/^/gm, '    '))}\n` : '';
  return own + stackOf(Reflect.get(error, 'cause'), paint);
}
