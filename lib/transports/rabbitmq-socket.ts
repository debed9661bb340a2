import type { Duplex, PassThrough } from 'node:stream';
import type { Channel, ChannelModel } from 'amqplib';

/** What a channel of the driver hides, in the version that package.json pins. */
interface RawChannel {
  readonly ch: number;
  readonly connection: {
    readonly stream: Duplex;
    /** Each channel has a queue of frames, from which the connection takes them in turn, a turn of the loop later. */
    readonly channels: readonly ({ readonly buffer: PassThrough } | null | undefined)[];
  };
}

/** What a connection of the driver hides. */
interface RawConnection {
  readonly stream: Duplex;
  /** Undefined when the broker wants no heartbeats. */
  readonly heartbeater?: { clear(): void };
}

const raw = (model: ChannelModel): RawConnection => model.connection as unknown as RawConnection;

/** The driver's socket. */
export const socketOf = (model: ChannelModel): Duplex => raw(model).stream;

/**
 * Ends a connection without waiting for a peer that may be silent. The driver does not notice, and its heartbeats would
 * keep the process alive for two of them.
 */
export function abandonSocket(model: ChannelModel): void {
  raw(model).heartbeater?.clear();
  socketOf(model).destroy();
}

/** The driver has given this connection up. */
export const isOver = (model: ChannelModel): boolean => socketOf(model).writableEnded || socketOf(model).destroyed;

/** Resolves when what was sent on this channel is with the operating system, or the channel or its socket is gone. */
export function flushChannel(channel: Channel): Promise<void> {
  const { connection, ch } = channel as unknown as RawChannel;
  const { stream, channels } = connection;
  const frames = channels[ch]?.buffer;
  if (frames === undefined || stream.writableEnded || stream.destroyed) return Promise.resolve();
  for (let frame: unknown = frames.read(); frame !== null; frame = frames.read()) stream.write(frame);
  // Its turn comes after the writes before it, those of the driver's included.
  return new Promise((resolve) => stream.write(Buffer.alloc(0), () => resolve()));
}
