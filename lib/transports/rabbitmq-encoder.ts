import type { ChannelModel } from 'amqplib';
import type { FrameProperties } from '../message.js';
import { staysWith, StampedProperties } from './rabbitmq-frame.js';

/** What a publish says of a message besides its body, in the driver's terms. */
export interface DriverProperties extends FrameProperties {
  readonly headers: Readonly<Record<string, unknown>>;
  /** Undefined in what is not ours. */
  readonly deliveryMode: number | undefined;
}

/** Where a publish goes to, in the driver's terms. */
export interface DriverRoute {
  readonly exchange: string;
  readonly routingKey: string;
  readonly mandatory: boolean;
}

/** What a connection of the driver hides, in the version that package.json pins. */
interface RawConnection {
  /** Channels call it to publish, and a connection that ends replaces it by one that throws. */
  sendMessage(...message: [number, unknown, DriverRoute, unknown, DriverProperties, Buffer]): boolean;
  readonly channels: readonly ({ readonly buffer: { write(frames: Buffer): boolean } } | null | undefined)[];
  /** Looked at by the heartbeat. */
  sentSinceLastCheck: boolean;
  /** The most bytes of a frame; larger bodies are split. */
  readonly frameMax: number;
}

/** What is larger leaves by the driver's own encoder, which pays for itself then. */
const LARGEST = 16 * 1024;
const SLAB = 16 * LARGEST;
const FRAME_END = 0xce;
/** Type, channel and size. */
const FRAME_HEAD = 7;
const BASIC = 60;
const PUBLISH = 40;
/** Of a text up to this length each character is written here: calls into Node take longer. */
const SHORT = 48;

/** It is not for this encoder. */
class Unfit extends Error {}

const UNFIT = new Unfit();

/** The property flags of AMQP 0-9-1, in the order in which the properties are written. */
const FLAGS = {
  contentType: 0x8000,
  contentEncoding: 0x4000,
  headers: 0x2000,
  deliveryMode: 0x1000,
  priority: 0x0800,
  correlationId: 0x0400,
  replyTo: 0x0200,
  expiration: 0x0100,
  messageId: 0x0080,
  timestamp: 0x0040,
} as const;

/**
 * A message as the three frames of AMQP 0-9-1's basic.publish, byte for byte as the driver writes them, in a part of its
 * time: it measures each text, writes each part into a buffer of its own, and copies them together.
 * Source: https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf, 2.3.5 and 4.2, with the field types of RabbitMQ.
 */
export class MessageEncoder {
  #slab = Buffer.alloc(0);
  #at = 0;
  #end = 0;

  /** The bytes, for this channel; undefined when the message is large or has what only the driver knows about. */
  encode(
    channel: number,
    route: DriverRoute,
    properties: DriverProperties | StampedProperties,
    body: Buffer,
  ): Buffer | undefined {
    if (properties.deliveryMode === undefined || body.length > LARGEST / 2) return undefined;
    if (this.#slab.length - this.#at < LARGEST) this.#begin();
    const start = this.#at;
    this.#end = start + LARGEST;
    try {
      this.#method(channel, route);
      this.#header(channel, properties, body.length);
      this.#body(channel, body);
    } catch (error) {
      this.#at = start;
      if (error instanceof Unfit) return undefined;
      throw error;
    }
    return this.#slab.subarray(start, this.#at);
  }

  /** A slab is shared by many messages, and lives until the last of them is written. */
  #begin(): void {
    this.#slab = Buffer.allocUnsafeSlow(SLAB);
    this.#at = 0;
  }

  #method(channel: number, { exchange, routingKey, mandatory }: DriverRoute): void {
    const frame = this.#open(1, channel);
    this.#uint16(BASIC);
    this.#uint16(PUBLISH);
    this.#uint16(0);
    this.#shortText(exchange);
    this.#shortText(routingKey);
    this.#byte(mandatory ? 1 : 0);
    this.#close(frame);
  }

  #header(channel: number, properties: DriverProperties | StampedProperties, size: number): void {
    const frame = this.#open(2, channel);
    this.#uint16(BASIC);
    this.#uint16(0);
    this.#uint32(0);
    this.#uint32(size);
    const flags = this.#at;
    this.#uint16(0);
    this.#setUint16(flags, this.#properties(properties));
    this.#close(frame);
  }

  /** Gives their flags. */
  #properties(properties: DriverProperties | StampedProperties): number {
    let flags = FLAGS.headers | FLAGS.deliveryMode;
    flags |= this.#property(properties.contentType, FLAGS.contentType);
    flags |= this.#property(properties.contentEncoding, FLAGS.contentEncoding);
    if (properties instanceof StampedProperties) this.#stamped(properties);
    else this.#table(properties.headers);
    this.#byte(properties.deliveryMode ?? 0);
    if (properties.priority !== undefined) {
      this.#byte(properties.priority);
      flags |= FLAGS.priority;
    }
    flags |= this.#property(properties.correlationId, FLAGS.correlationId);
    flags |= this.#property(properties.replyTo, FLAGS.replyTo);
    flags |= this.#property(properties.expiration, FLAGS.expiration);
    flags |= this.#property(properties.messageId, FLAGS.messageId);
    if (properties.timestamp !== undefined) {
      this.#int64(properties.timestamp);
      flags |= FLAGS.timestamp;
    }
    return flags;
  }

  #property(text: string | undefined, flag: number): number {
    if (text === undefined) return 0;
    this.#shortText(text);
    return flag;
  }

  #body(channel: number, body: Buffer): void {
    if (body.length === 0) return;
    const frame = this.#open(3, channel);
    this.#need(body.length);
    this.#at += body.copy(this.#slab, this.#at);
    this.#close(frame);
  }

  #open(type: number, channel: number): number {
    const start = this.#at;
    this.#byte(type);
    this.#uint16(channel);
    this.#uint32(0);
    return start;
  }

  #close(start: number): void {
    this.#setUint32(start + 3, this.#at - start - FRAME_HEAD);
    this.#byte(FRAME_END);
  }

  /** What `headers` of these properties would give, without making it. */
  #stamped({ former, stamp }: StampedProperties): void {
    const { copy, due, dueQueue, expires } = stamp;
    const start = this.#at;
    this.#uint32(0);
    for (const name in former) if (staysWith(name)) this.#field(name, former[name]);
    this.#field('copy', copy);
    this.#field('due', due);
    this.#field('due_queue', dueQueue);
    if (dueQueue !== undefined) this.#field('due_expires', expires);
    this.#setUint32(start, this.#at - start - 4);
  }

  #field(name: string, value: unknown): void {
    if (value === undefined) return;
    this.#shortText(name);
    this.#value(value);
  }

  #table(table: Readonly<Record<string, unknown>>): void {
    const start = this.#at;
    this.#uint32(0);
    for (const name in table) this.#field(name, table[name]);
    this.#setUint32(start, this.#at - start - 4);
  }

  #value(value: unknown): void {
    switch (typeof value) {
      case 'string':
        return this.#longText(value);
      case 'number':
        return this.#number(value);
      case 'boolean':
        this.#byte(0x74);
        return this.#byte(value ? 1 : 0);
      case 'object':
        return this.#object(value);
      default:
        throw UNFIT;
    }
  }

  #object(value: object | null): void {
    if (value === null) return this.#byte(0x56);
    if (Array.isArray(value)) {
      this.#byte(0x41);
      const start = this.#at;
      this.#uint32(0);
      for (const item of value as unknown[]) this.#value(item);
      return this.#setUint32(start, this.#at - start - 4);
    }
    // A buffer, or the driver's own notation for a type.
    if (Object.getPrototypeOf(value) !== Object.prototype || '!' in value) throw UNFIT;
    this.#byte(0x46);
    this.#table(value as Record<string, unknown>);
  }

  /** By the types that py-amqp reads as RabbitMQ does: `legible` of rabbitmq-frame.ts says why. */
  #number(value: number): void {
    if (!Number.isSafeInteger(value) || value < -0x7fffffff) throw UNFIT;
    if (value >= 0 && value < 0x80) {
      this.#byte(0x62);
      this.#byte(value);
    } else if (value < 0x80000000) {
      this.#byte(0x49);
      this.#uint32(value);
    } else {
      this.#byte(0x6c);
      this.#int64(value);
    }
  }

  #longText(text: string): void {
    this.#byte(0x53);
    const start = this.#at;
    this.#uint32(0);
    this.#text(text);
    this.#setUint32(start, this.#at - start - 4);
  }

  #shortText(text: string): void {
    const start = this.#at;
    this.#byte(0);
    this.#text(text);
    const length = this.#at - start - 1;
    if (length > 255) throw UNFIT;
    this.#slab[start] = length;
  }

  #text(text: string): void {
    const { length } = text;
    this.#need(3 * length);
    const slab = this.#slab;
    const start = this.#at;
    if (length <= SHORT) {
      let i = 0;
      for (; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code > 0x7f) break;
        slab[start + i] = code;
      }
      if (i === length) {
        this.#at = start + length;
        return;
      }
    }
    this.#at = start + slab.write(text, start, 'utf8');
  }

  /** Numbers below need at most 8 bytes; the slab has so much behind its end. */
  #need(bytes: number): void {
    if (this.#at + bytes + 8 > this.#end) throw UNFIT;
  }

  #byte(value: number): void {
    this.#need(1);
    this.#slab[this.#at++] = value;
  }

  #uint16(value: number): void {
    this.#need(2);
    this.#setUint16(this.#at, value);
    this.#at += 2;
  }

  #uint32(value: number): void {
    this.#need(4);
    this.#setUint32(this.#at, value);
    this.#at += 4;
  }

  /** Two's complement of a safe integer. */
  #int64(value: number): void {
    this.#uint32(Math.floor(value / 0x100000000));
    this.#uint32(value >>> 0);
  }

  #setUint16(at: number, value: number): void {
    this.#slab[at] = value >>> 8;
    this.#slab[at + 1] = value;
  }

  #setUint32(at: number, value: number): void {
    this.#slab[at] = value >>> 24;
    this.#slab[at + 1] = value >>> 16;
    this.#slab[at + 2] = value >>> 8;
    this.#slab[at + 3] = value;
  }
}

/** From now on this connection encodes small messages itself; everything else about a publish stays the driver's. */
export function hastenMessages(model: ChannelModel): void {
  const connection = model.connection as unknown as RawConnection;
  const encoder = new MessageEncoder();
  const byDriver = connection.sendMessage.bind(connection);
  connection.sendMessage = (...message) => {
    const [channel, , route, , properties, body] = message;
    const whole = body.length + FRAME_HEAD + 1 <= connection.frameMax;
    const frames = whole ? encoder.encode(channel, route, properties, body) : undefined;
    const queue = connection.channels[channel]?.buffer;
    if (frames === undefined || queue === undefined) return byDriver(...message);
    connection.sentSinceLastCheck = true;
    return queue.write(frames);
  };
}
