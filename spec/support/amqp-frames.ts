/** Method frames by class and method, as AMQP 0-9-1 numbers them. */
export const METHODS = {
  'channel.open-ok': [20, 11],
  'channel.close-ok': [20, 41],
  'queue.declare-ok': [50, 11],
  'basic.consume-ok': [60, 21],
  'basic.ack': [60, 80],
} as const;

/** A method that a broker sends, without content. */
export type MethodName = keyof typeof METHODS;

/** Type, channel and size before the payload; an end octet behind it. */
const HEAD = 7;

/** Takes chunks of what a broker says, and lets whole frames through, but for the methods that are swallowed. */
export class FrameSieve {
  readonly #swallow: (name: MethodName, channel: number) => boolean;
  #rest: Buffer = Buffer.alloc(0);

  constructor(swallow: (name: MethodName, channel: number) => boolean) {
    this.#swallow = swallow;
  }

  /** What is left of the frames that are complete now. */
  pass(chunk: Buffer): Buffer {
    let rest = Buffer.concat([this.#rest, chunk]);
    const kept: Buffer[] = [];
    for (let size = frameSize(rest); size <= rest.length; size = frameSize(rest)) {
      const frame = rest.subarray(0, size);
      if (!this.#swallows(frame)) kept.push(frame);
      rest = rest.subarray(size);
    }
    this.#rest = rest;
    return Buffer.concat(kept);
  }

  #swallows(frame: Buffer): boolean {
    if (frame[0] !== 1) return false;
    const [classId, methodId] = [frame.readUInt16BE(HEAD), frame.readUInt16BE(HEAD + 2)];
    const names = Object.keys(METHODS) as MethodName[];
    const name = names.find((each) => METHODS[each][0] === classId && METHODS[each][1] === methodId);
    return name !== undefined && this.#swallow(name, frame.readUInt16BE(1));
  }
}

const frameSize = (bytes: Buffer): number => (bytes.length < HEAD ? Infinity : HEAD + bytes.readUInt32BE(3) + 1);
