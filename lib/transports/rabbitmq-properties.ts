import type { ChannelModel } from 'amqplib';

/** What a connection of the driver hides, in the version that package.json pins. */
interface RawConnection {
  /** What has come and is not decoded yet. */
  rest: Buffer;
  recvFrame(): unknown;
}

type Fields = Record<string, unknown>;

/** Type, channel and size; then class, weight and size of the body; then the flags of the properties. */
const FRAME_HEAD = 7;
const BODY_SIZE = FRAME_HEAD + 4;
const FLAGS = FRAME_HEAD + 12;
const HEADER_FRAME = 2;
const FRAME_END = 0xce;
/** Sets of names that are remembered: a queue has messages of few kinds. */
const MOST_BLANKS = 64;

/**
 * Reads the properties of messages. The driver asks the buffer for each text of some twenty headers and for each of their
 * names. Here the bytes become one text, of which the others are parts, and a name that stands where it stood in the
 * message before is that one (6.4 µs a message before, 1.7 so). The headers are a copy of an object that has their names
 * already: an object that gets more than a dozen one by one becomes a hash table, of 1.4 KB, which lives as long as its run.
 */
class PropertiesReader {
  #bytes: Buffer = Buffer.alloc(0);
  /** The same bytes, a character each. */
  #text = '';
  #at = 0;
  /** Of the headers of the last message, in their order. */
  readonly #names: string[] = [];
  readonly #values: unknown[] = [];
  /** An object with these names; undefined when one of them has changed. */
  #blank: Fields | undefined;
  /** By the JSON that they are made of: an object that is parsed is none of those tables, however many names it has. */
  readonly #blanks = new Map<string, Fields>();

  /** `bytes` begin with a whole frame of properties, which ends at `end`. */
  read(bytes: Buffer, end: number): object {
    this.#bytes = bytes;
    this.#text = bytes.toString('latin1', 0, end);
    this.#at = FLAGS + 2;
    const flags = bytes.readUInt16BE(FLAGS);
    if (flags === 0) return {};
    return {
      contentType: flags & 0x8000 ? this.#name() : undefined,
      contentEncoding: flags & 0x4000 ? this.#name() : undefined,
      headers: flags & 0x2000 ? this.#headers() : undefined,
      deliveryMode: flags & 0x1000 ? bytes[this.#skip(1)] : undefined,
      priority: flags & 0x0800 ? bytes[this.#skip(1)] : undefined,
      correlationId: flags & 0x0400 ? this.#name() : undefined,
      replyTo: flags & 0x0200 ? this.#name() : undefined,
      expiration: flags & 0x0100 ? this.#name() : undefined,
      messageId: flags & 0x0080 ? this.#name() : undefined,
      timestamp: flags & 0x0040 ? Number(bytes.readBigUInt64BE(this.#skip(8))) : undefined,
      type: flags & 0x0020 ? this.#name() : undefined,
      userId: flags & 0x0010 ? this.#name() : undefined,
      appId: flags & 0x0008 ? this.#name() : undefined,
      clusterId: flags & 0x0004 ? this.#name() : undefined,
    };
  }

  #headers(): Fields {
    const names = this.#names;
    const values = this.#values;
    const end = this.#size() + this.#at;
    let index = 0;
    for (; this.#at < end; index++) {
      const former = names[index];
      const length = this.#bytes[this.#at] as number;
      if (former?.length === length && this.#text.startsWith(former, this.#at + 1)) this.#at += 1 + length;
      else {
        names[index] = this.#name();
        this.#blank = undefined;
      }
      values[index] = this.#value();
    }
    if (names.length !== index) {
      names.length = index;
      this.#blank = undefined;
    }
    const fields = { ...(this.#blank ??= this.#blankOf(names)) };
    for (let i = 0; i < index; i++) fields[names[i] as string] = values[i];
    return fields;
  }

  #blankOf(names: readonly string[]): Fields {
    const text = `{${names.map((name) => `${JSON.stringify(name)}:null`).join()}}`;
    let blank = this.#blanks.get(text);
    if (blank === undefined) {
      if (this.#blanks.size === MOST_BLANKS) this.#blanks.clear();
      blank = JSON.parse(text) as Fields;
      this.#blanks.set(text, blank);
    }
    return blank;
  }

  #table(): Fields {
    const fields: Fields = {};
    const end = this.#size() + this.#at;
    while (this.#at < end) fields[this.#name()] = this.#value();
    return fields;
  }

  #list(): unknown[] {
    const items: unknown[] = [];
    const end = this.#size() + this.#at;
    while (this.#at < end) items.push(this.#value());
    return items;
  }

  #value(): unknown {
    const bytes = this.#bytes;
    const tag = this.#text[this.#skip(1)];
    switch (tag) {
      case 'S':
        return this.#characters(this.#size());
      case 'V':
        return null;
      case 't':
        return bytes[this.#skip(1)] !== 0;
      case 'b':
        return bytes.readInt8(this.#skip(1));
      case 'B':
        return bytes[this.#skip(1)];
      case 's':
        return bytes.readInt16BE(this.#skip(2));
      case 'u':
        return bytes.readUInt16BE(this.#skip(2));
      case 'I':
        return bytes.readInt32BE(this.#skip(4));
      case 'i':
        return bytes.readUInt32BE(this.#skip(4));
      case 'l':
      // Python's client writes integers beyond 32 bits so, RabbitMQ hands them on, and the driver throws.
      case 'L':
        return Number(bytes.readBigInt64BE(this.#skip(8)));
      case 'f':
        return bytes.readFloatBE(this.#skip(4));
      case 'd':
        return bytes.readDoubleBE(this.#skip(8));
      case 'F':
        return this.#table();
      case 'A':
        return this.#list();
      default:
        return this.#rare(tag);
    }
  }

  /** As the driver gives them. */
  #rare(tag: string | undefined): unknown {
    const bytes = this.#bytes;
    switch (tag) {
      case 'T':
        return { '!': 'timestamp', value: Number(bytes.readBigUInt64BE(this.#skip(8))) };
      case 'D':
        return { '!': 'decimal', value: { places: bytes[this.#skip(1)], digits: bytes.readUInt32BE(this.#skip(4)) } };
      case 'x': {
        const length = this.#size();
        const start = this.#skip(length);
        return bytes.subarray(start, start + length);
      }
      default:
        throw new TypeError(`a header has the unknown type '${tag}'`);
    }
  }

  /** A text of at most 255 bytes. */
  #name(): string {
    return this.#characters(this.#bytes[this.#skip(1)] as number);
  }

  #characters(length: number): string {
    const start = this.#skip(length);
    for (let at = start; at < this.#at; at++) {
      if ((this.#bytes[at] as number) > 0x7f) return this.#bytes.toString('utf8', start, this.#at);
    }
    return this.#text.slice(start, this.#at);
  }

  #size(): number {
    return this.#bytes.readUInt32BE(this.#skip(4));
  }

  /** Moves on; where it was. */
  #skip(length: number): number {
    this.#at += length;
    return this.#at - length;
  }
}

/** Where the frame of properties ends with which `rest` begins; 0: it is none, or not all of it has come. */
function endOfProperties(rest: Buffer): number {
  if (rest[0] !== HEADER_FRAME || rest.length <= FRAME_HEAD) return 0;
  const end = FRAME_HEAD + rest.readUInt32BE(3);
  return rest[end] === FRAME_END ? end : 0;
}

/**
 * From now on this connection reads the properties of messages by our reader: faster, and with integers of any size. Without
 * it one message of a Celery client with such a header ends the connection, and the next one, which gets it again.
 */
export function readProperties(model: ChannelModel): void {
  const connection = model.connection as unknown as RawConnection;
  const byDriver = connection.recvFrame.bind(connection);
  const reader = new PropertiesReader();
  connection.recvFrame = () => {
    const { rest } = connection;
    const end = endOfProperties(rest);
    if (end === 0) return byDriver();
    connection.rest = rest.subarray(end + 1);
    const fields = reader.read(rest, end);
    const [id, channel] = [rest.readUInt16BE(FRAME_HEAD), rest.readUInt16BE(1)];
    return { id, channel, size: Number(rest.readBigUInt64BE(BODY_SIZE)), fields };
  };
}
