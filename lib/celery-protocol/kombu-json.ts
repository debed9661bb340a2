/** Types of Python for which kombu has written their text since 5.3; before, it wrote that text alone. */
const TEXTS: ReadonlySet<unknown> = new Set(['datetime', 'date', 'time', 'decimal', 'bytes', 'base64']);
/** 32 hexadecimal digits, in groups. */
const UUID = /^(.{8})(.{4})(.{4})(.{4})(.{12})$/;

/**
 * JSON as kombu writes it, as plain JSON: what it marks as a date, a decimal number or a UUID of Python becomes its text,
 * which is all that kombu wrote before 5.3. @throws SyntaxError
 */
export const parseKombu = (text: string): unknown =>
  text.includes('"__type__"') ? JSON.parse(text, (_, value: unknown) => plain(value)) : JSON.parse(text);

function plain(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 2) return value;
  const { __type__: type, __value__: own } = value as { __type__?: unknown; __value__?: unknown };
  if (typeof own === 'string' && TEXTS.has(type)) return own;
  const hex = type === 'uuid' ? (own as { hex?: unknown } | null | undefined)?.hex : undefined;
  return typeof hex === 'string' ? hex.replace(UUID, '$1-$2-$3-$4-$5') : value;
}
