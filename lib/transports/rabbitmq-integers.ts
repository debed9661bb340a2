import type { ChannelModel } from 'amqplib';

/** What a connection of the driver hides, in the version that package.json pins. */
interface RawConnection {
  /** What has come and is not decoded yet. */
  rest: Buffer;
  recvFrame(): unknown;
}

/** Python's client writes integers beyond 32 bits so, RabbitMQ hands them on, and the driver throws. */
const LONG = 'L'.charCodeAt(0);
/** The same eight bytes, by the tag that the driver knows. */
const KNOWN_LONG = 'l'.charCodeAt(0);
const UNKNOWN = 'Unexpected type tag "L"';

/** Type, channel and size. */
const FRAME_HEAD = 7;
const HEADER_FRAME = 2;
/** Class, weight and size of the body, before the flags of the properties. */
const PROPERTIES = FRAME_HEAD + 12;
const CONTENT_TYPE = 0x8000;
const CONTENT_ENCODING = 0x4000;
const HEADERS = 0x2000;

/** Bytes of a value of fixed size, by its tag. */
const SIZES: Readonly<Record<string, number>> = {
  t: 1,
  b: 1,
  B: 1,
  s: 2,
  u: 2,
  I: 4,
  i: 4,
  f: 4,
  D: 5,
  l: 8,
  L: 8,
  T: 8,
  d: 8,
  V: 0,
};

/** Walks over the header table of one message. */
class Table {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  /** Over a text of the properties. */
  skipText(): void {
    this.#at += 1 + (this.#bytes[this.#at] ?? 0);
  }

  table(): void {
    const end = this.#size();
    while (this.#at < end) {
      this.skipText();
      this.#value();
    }
  }

  #list(): void {
    const end = this.#size();
    while (this.#at < end) this.#value();
  }

  #value(): void {
    const tag = this.#bytes[this.#at] ?? 0;
    if (tag === LONG) this.#bytes[this.#at] = KNOWN_LONG;
    this.#at += 1;
    const text = String.fromCharCode(tag);
    if (text === 'F') this.table();
    else if (text === 'A') this.#list();
    else this.#at = SIZES[text] === undefined ? this.#size() : this.#at + SIZES[text];
  }

  /** Where what begins here with its size ends. */
  #size(): number {
    const size = this.#bytes.readUInt32BE(this.#at);
    this.#at += 4;
    return this.#at + size;
  }
}

/** In place, in the first frame of `bytes`. */
function retag(bytes: Buffer): void {
  if (bytes[0] !== HEADER_FRAME) return;
  const flags = bytes.readUInt16BE(PROPERTIES);
  const table = new Table(bytes, PROPERTIES + 2);
  if ((flags & CONTENT_TYPE) !== 0) table.skipText();
  if ((flags & CONTENT_ENCODING) !== 0) table.skipText();
  if ((flags & HEADERS) !== 0) table.table();
}

/**
 * From now on this connection reads headers with integers of any size. Without it one message of a Celery client with such
 * a header ends the connection, and the next one, which gets it again. Messages without pay nothing for it.
 */
export function readLongIntegers(model: ChannelModel): void {
  const connection = model.connection as unknown as RawConnection;
  const byDriver = connection.recvFrame.bind(connection);
  connection.recvFrame = () => {
    const before = connection.rest;
    try {
      return byDriver();
    } catch (error) {
      if (!(error instanceof TypeError) || error.message !== UNKNOWN) throw error;
      retag(before);
      connection.rest = before;
      return byDriver();
    }
  };
}
