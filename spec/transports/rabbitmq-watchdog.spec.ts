import { type Channel, type ChannelModel, connect, type ConsumeMessage } from 'amqplib';
import { expect } from 'chai';
import { type Clock, systemClock } from '../../lib/clock.js';
import type { Transport } from '../../lib/transport.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { amqpUrl, frameOf, fresh, Inbox } from '../support/transports.js';

const TIMEOUT = 10_000;
/** ms; the shortest wait of the watchdog. */
const IDLE = 20_000;

/** A client that tells its broker so is not told when its consumer ends. */
const unheard = (chunk: Buffer): Buffer =>
  Buffer.from(chunk.toString('latin1').replace('consumer_cancel_notify', 'consumer_cancel_unhear'), 'latin1');

describe('the watchdog of a consumer', () => {
  const namespace = fresh('ns');
  let proxy: TcpProxy;
  let transport: Transport;
  let queue: string;
  let raw: ChannelModel | undefined;
  /** What the watchdog has waited for, ms. */
  let waits: number[];

  /** The machine's clock, on which the watchdog's waits pass two hundred times as fast. */
  const hasty: Clock = {
    ...systemClock,
    after(ms, ...rest) {
      if (![1, 2, 4, 8].some((times) => ms === times * IDLE)) return systemClock.after(ms, ...rest);
      waits.push(ms);
      return systemClock.after(ms / 200, ...rest);
    },
  };
  const publish = (): Promise<void> => transport.publish({ queue, frame: frameOf(), timeout: TIMEOUT });

  beforeEach(async () => {
    waits = [];
    proxy = await startProxy(amqpUrl(), unheard);
    transport = createRabbitTransport({ url: proxy.url, namespace, clock: hasty, connectionName: 'spec' });
    queue = fresh('work');
    await transport.connect(TIMEOUT);
    await transport.declare([{ name: queue }]);
  });
  afterEach(async () => {
    await raw?.close();
    raw = undefined;
    await transport.close();
    await proxy.close();
  });

  // A classic one: a quorum queue of the same name takes over what the broker remembers of the former one's consumers.
  it('builds it again when its queue was deleted and declared again, and nobody told', async () => {
    const inbox = new Inbox({ ack: true });
    const classic = fresh('classic');
    await transport.declare([{ name: classic, type: 'classic' }]);
    await transport.consume(classic, 1, inbox);
    await onRawChannel((channel) => channel.deleteQueue(classic));
    await transport.declare([{ name: classic, type: 'classic' }]);
    await transport.publish({ queue: classic, frame: frameOf(), timeout: TIMEOUT });
    await eventually(() => inbox.at(0), { timeout: TIMEOUT });
    expect(inbox.losses).to.equal(1);
  });

  it('finds out that the queue is gone, declares and consumes it again', async () => {
    const inbox = new Inbox({ ack: true });
    await transport.consume(queue, 1, inbox);
    await onRawChannel((channel) => channel.deleteQueue(queue));
    await eventually(async () => expect((await transport.figures(queue)).consumers).to.equal(1), { timeout: TIMEOUT });
    await publish();
    await eventually(() => inbox.at(0));
  });

  it('leaves a consumer alone that has something in hand, or an empty queue', async () => {
    const [busy, idle] = [new Inbox(), new Inbox()];
    const empty = fresh('work');
    await transport.declare([{ name: empty }]);
    await transport.consume(queue, 1, busy);
    await transport.consume(empty, 1, idle);
    await Promise.all([publish(), publish()]);
    await eventually(() => expect(waits.length).to.be.above(20), { timeout: TIMEOUT });
    expect([busy.losses, idle.losses, new Set(waits)]).to.deep.equal([0, 0, new Set([IDLE])]);
    expect((await transport.figures(queue)).ready).to.equal(1);
  });

  it('waits twice as long each time that it was in vain: for a standby it is no fault to idle', async () => {
    const single = fresh('single');
    raw = await connect(amqpUrl());
    const channel = await raw.createChannel();
    await channel.assertQueue(single, { durable: true, arguments: { 'x-single-active-consumer': true } });
    await channel.prefetch(1);
    const held: (ConsumeMessage | null)[] = [];
    await channel.consume(single, (message) => held.push(message));
    for (let i = 0; i < 2; i += 1) channel.sendToQueue(single, Buffer.from('{}'));
    await eventually(async () => {
      expect([held.length, (await transport.figures(single)).ready]).to.deep.equal([1, 1]);
    });
    const standby = new Inbox();
    await transport.consume(single, 1, standby);
    await eventually(() => expect(standby.losses).to.equal(3), { timeout: 15_000 });
    expect(waits.slice(0, 3)).to.deep.equal([IDLE, 2 * IDLE, 4 * IDLE]);
    await channel.close();
    await eventually(() => standby.at(0));
  });
});

async function onRawChannel(run: (channel: Channel) => Promise<unknown>): Promise<void> {
  const connection = await connect(amqpUrl());
  await run(await connection.createChannel());
  await connection.close();
}
