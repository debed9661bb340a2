import amqplib, { type ChannelModel, type ConfirmChannel } from 'amqplib';
import { expect } from 'chai';
import fc from 'fast-check';
import { hastenMessages, MessageEncoder, type DriverProperties } from '../../lib/transports/rabbitmq-encoder.js';
import { legible, StampedProperties } from '../../lib/transports/rabbitmq-frame.js';
import { testAmqpUrl, uniqueName } from '../support/servers.js';

/** What the driver hides of a connection. */
interface Raw {
  readonly channels: { buffer: { write(frames: Buffer): boolean } }[];
  sendMessage(...message: unknown[]): boolean;
}

const ROUTE = { exchange: 'delay', routingKey: 'loans', mandatory: true };

const text = fc.string({ unit: 'binary', maxLength: 60 });
const whole = fc.oneof(fc.integer({ min: -200, max: 200 }), fc.integer(), fc.maxSafeInteger());
const leaf = fc.oneof(text, whole, fc.boolean(), fc.constant(null));
const value = fc.oneof(
  leaf,
  fc.array(leaf, { maxLength: 4 }),
  fc.dictionary(fc.string({ maxLength: 9 }), leaf, { noNullPrototype: true }),
);
const properties = fc.record(
  {
    headers: fc.dictionary(fc.string({ maxLength: 20 }), value),
    deliveryMode: fc.constantFrom(1, 2),
    contentType: text,
    contentEncoding: text,
    correlationId: text,
    messageId: text,
    replyTo: text,
    expiration: text,
    priority: fc.nat(255),
    timestamp: fc.nat(2 ** 40),
  },
  { requiredKeys: ['headers', 'deliveryMode'] },
) as fc.Arbitrary<DriverProperties>;
const bodies = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

describe('the encoder of messages', () => {
  let model: ChannelModel;
  let channel: ConfirmChannel;
  let raw: Raw;
  before(async () => {
    model = await amqplib.connect(testAmqpUrl());
    channel = await model.createConfirmChannel();
    raw = model.connection as unknown as Raw;
  });
  after(() => model.close());

  /** What the driver would write. */
  function byDriver(given: DriverProperties | StampedProperties, body: Buffer): Buffer {
    const written: Buffer[] = [];
    const { ch } = channel as unknown as { ch: number };
    const { buffer } = raw.channels[ch]!;
    raw.channels[ch]!.buffer = { write: (frames) => written.push(frames) > 0 };
    try {
      (channel as unknown as Raw).sendMessage(ROUTE, given, body);
    } finally {
      raw.channels[ch]!.buffer = buffer;
    }
    return Buffer.concat(written);
  }

  it('writes what the driver writes of headers that py-amqp reads as well, to the byte', () => {
    const encoder = new MessageEncoder();
    let encoded = 0;
    const same = fc.property(properties, bodies, (given, body) => {
      const own = encoder.encode(1, ROUTE, given, body);
      // Longer than a short text: the driver says what is wrong with it.
      if (own === undefined) return;
      encoded += 1;
      const headers = Object.fromEntries(Object.entries(given.headers).map(([name, one]) => [name, legible(one)]));
      expect(own.equals(byDriver({ ...given, headers }, body))).to.equal(true);
    });
    fc.assert(same, { numRuns: 2_000 });
    expect(encoded).to.be.above(1_000);
  });

  it('stamps a message as the driver would, and leaves behind what belongs to a former life', () => {
    const encoder = new MessageEncoder();
    const former = { id: 'a', 'x-death': [], CC: ['b'], copy: 'old', due: 1, due_queue: 'old', due_expires: 2 };
    const now = 1_700_000_000_000;
    const [due, expires] = [now + 8_000, now + 98_000];
    const stamp = { copy: 'new', due: undefined, dueQueue: undefined, expires: undefined, now };
    const stamps = [stamp, { ...stamp, expires: now + 2_000 }, { ...stamp, due, dueQueue: 'loans', expires }];
    const seen = stamps.map((each) => {
      const given = new StampedProperties(
        { properties: { messageId: 'a' }, headers: former, body: Buffer.alloc(0) },
        each,
      );
      expect(encoder.encode(1, ROUTE, given, Buffer.alloc(0))?.equals(byDriver(given, Buffer.alloc(0)))).to.equal(true);
      const { headers, expiration } = given;
      return { ...(JSON.parse(JSON.stringify(headers)) as object), expiration };
    });
    expect(seen).to.deep.equal([
      { id: 'a', copy: 'new', expiration: undefined },
      { id: 'a', copy: 'new', expiration: '2000' },
      { id: 'a', copy: 'new', due, due_queue: 'loans', due_expires: expires, expiration: undefined },
    ]);
  });

  it('leaves to the driver what is large, and what only the driver knows', () => {
    const encoder = new MessageEncoder();
    const encode = (headers: DriverProperties['headers'], size = 10): Buffer | undefined =>
      encoder.encode(1, ROUTE, { headers, deliveryMode: 2 }, Buffer.alloc(size));
    expect(encode({ a: 1 })).to.be.instanceOf(Buffer);
    const left = [{ a: 0.5 }, { a: Buffer.from('x') }, { a: { '!': 'float', value: 1 } }, { a: 'x'.repeat(17_000) }];
    for (const headers of left) expect(encode(headers)).to.equal(undefined);
    expect(encode({}, 10_000)).to.equal(undefined);
    expect(encode({ ['x'.repeat(300)]: 1 })).to.equal(undefined);
    expect(encode({ a: 1 })).to.be.instanceOf(Buffer);
  });

  it('is heeded by the broker, and by a channel that is closed', async () => {
    const hastened = await amqplib.connect(testAmqpUrl());
    hastenMessages(hastened);
    const own = await hastened.createConfirmChannel();
    const queue = uniqueName('encoder');
    await own.assertQueue(queue, { durable: true });
    const headers = { text: 'é😀', none: null, list: [1, 'two', true], big: 1_700_000_000_123, table: { a: -1 } };
    for (const body of ['small', 'large'.repeat(5_000)]) {
      own.sendToQueue(queue, Buffer.from(body), { headers, persistent: true, contentType: 'text/plain', priority: 3 });
      await own.waitForConfirms();
      const message = await own.get(queue, { noAck: true });
      if (message === false) throw new Error('no message');
      expect(message.content.toString()).to.equal(body);
      expect(message.properties.headers).to.deep.equal(headers);
      expect(message.properties).to.include({ contentType: 'text/plain', priority: 3 });
    }
    await own.deleteQueue(queue);
    await own.close();
    expect(() => own.sendToQueue(queue, Buffer.from('late'))).to.throw('Channel closed');
    await hastened.close();
  });

  it('leaves to the driver what is larger than a frame of this connection', async () => {
    const narrow = await amqplib.connect(`${testAmqpUrl()}?frameMax=4096`);
    hastenMessages(narrow);
    const own = await narrow.createConfirmChannel();
    const queue = uniqueName('encoder');
    await own.assertQueue(queue, { durable: true });
    for (const size of [4_087, 4_088, 4_089, 8_000]) {
      own.sendToQueue(queue, Buffer.alloc(size, 'x'), { persistent: true, headers: { size } });
      await own.waitForConfirms();
      const message = await own.get(queue, { noAck: true });
      expect(message && message.content.length).to.equal(size);
    }
    await own.deleteQueue(queue);
    await narrow.close();
  });
});
