import amqplib from 'amqplib';
import { expect } from 'chai';
import { readProperties } from '../../lib/transports/rabbitmq-properties.js';
import { testAmqpUrl, uniqueName } from '../support/servers.js';

/** What the driver hides of a connection. */
interface Raw {
  readonly channels: { buffer: { write(frames: Buffer): boolean } }[];
}

const LONG = 1_700_000_000_123;

/** With the tag that Python's client gives to a number beyond 32 bits, instead of the driver's. */
function asPythonWrites(frames: Buffer): Buffer {
  const value = Buffer.alloc(9);
  value.write('l');
  value.writeBigInt64BE(BigInt(LONG), 1);
  for (let at = frames.indexOf(value); at >= 0; at = frames.indexOf(value, at)) frames.write('L', at);
  return frames;
}

describe('headers with integers as Python writes them', () => {
  it('are read wherever they stand, and nothing of the message is lost', async () => {
    const queue = uniqueName('integers');
    const sender = await amqplib.connect(testAmqpUrl());
    const out = await sender.createConfirmChannel();
    await out.assertQueue(queue, { durable: true });
    const headers = {
      at: LONG,
      text: 'Loans L',
      half: 0.5,
      none: null,
      yes: true,
      bytes: Buffer.from('L'),
      list: [1, LONG, ['L', -200, 70_000]],
      table: { deep: { at: LONG } },
      when: { '!': 'timestamp', value: 1_700_000_000 },
      last: LONG,
    };
    const { ch } = out as unknown as { ch: number };
    const { buffer } = (sender.connection as unknown as Raw).channels[ch]!;
    const write = buffer.write.bind(buffer);
    buffer.write = (frames) => write(asPythonWrites(frames));
    out.sendToQueue(queue, Buffer.from('body'), {
      headers,
      contentType: 'text/L',
      contentEncoding: 'L',
      messageId: 'L',
    });
    // Names as long as those before, or not of ASCII, where other ones stood.
    const others = { on: LONG, größe: 'Zürich €', half: -1.5, none: null, nope: 'no' };
    out.sendToQueue(queue, Buffer.from('next'), { headers: others, replyTo: 'ä', priority: 3, timestamp: 7 });
    await out.waitForConfirms();
    const receiver = await amqplib.connect(testAmqpUrl());
    readProperties(receiver);
    const channel = await receiver.createChannel();
    const first = await channel.get(queue, { noAck: true });
    const second = await channel.get(queue, { noAck: true });
    if (first === false || second === false) throw new Error('no message');
    expect(first.content.toString()).to.equal('body');
    expect(first.properties.headers).to.deep.equal(headers);
    expect(first.properties).to.include({ contentType: 'text/L', contentEncoding: 'L', messageId: 'L' });
    expect(second.content.toString()).to.equal('next');
    expect(second.properties.headers).to.deep.equal(others);
    expect(second.properties).to.include({ replyTo: 'ä', priority: 3, timestamp: 7 });
    await channel.deleteQueue(queue);
    await Promise.all([sender.close(), receiver.close()]);
  });

  it('are those of their own message, whatever names the one before had', async () => {
    const queue = uniqueName('integers');
    const connection = await amqplib.connect(testAmqpUrl());
    readProperties(connection);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue(queue, { durable: true });
    const full = { a: 1, b: null, c: 'x', list: [1, null] };
    const many = Array.from({ length: 100 }, (_, n) => ({ [`name-${n}`]: n, same: 'same' }));
    const sent = [
      full,
      { ...full, a: 'one', b: 2 },
      { a: 1, b: 2 },
      {},
      full,
      { c: 1, b: 2, a: 3 },
      ...many,
      full,
      many[7]!,
    ];
    for (const headers of sent) channel.sendToQueue(queue, Buffer.from('body'), { headers });
    await channel.waitForConfirms();
    for (const headers of sent) {
      const message = await channel.get(queue, { noAck: true });
      expect(message && message.properties.headers).to.deep.equal(headers);
    }
    await channel.deleteQueue(queue);
    await connection.close();
  });
});
