import { connect } from 'amqplib';
import { expect } from 'chai';
import { BrokerUnavailableError, PublishOutcomeUnknownError } from '../../lib/errors.js';
import type { Transport } from '../../lib/transport.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { amqpUrl, frameOf, fresh, Inbox, rabbit, rejection } from '../support/transports.js';

const TIMEOUT = 10_000;

describe('a RabbitMQ transport whose links are cut', () => {
  const namespace = fresh('ns');
  let proxy: TcpProxy;
  let transport: Transport;
  let queue: string;

  const publish = (args: unknown[], timeout = TIMEOUT): Promise<void> =>
    transport.publish({ queue, frame: frameOf({ args }), timeout });

  beforeEach(async () => {
    proxy = await startProxy(amqpUrl());
    transport = rabbit(namespace, proxy.url);
    queue = fresh('work');
    await transport.connect(TIMEOUT);
    await transport.declare([{ name: queue }]);
  });
  afterEach(async () => {
    await transport.close();
    await proxy.close();
  });

  it('builds its consumers again, and says that the open deliveries are lost', async () => {
    const inbox = new Inbox();
    await transport.consume(queue, 5, inbox);
    await publish([1]);
    await eventually(() => inbox.at(0));
    proxy.cut();
    await eventually(() => expect(inbox.losses).to.equal(1));
    expect([inbox.at(0).stale, inbox.at(0).ack(), inbox.at(0).requeue()]).to.deep.equal([true, 'stale', 'stale']);
    await eventually(() => expect(inbox.at(1).redelivered).to.equal(true), { timeout: TIMEOUT });
    expect(inbox.at(1).ack()).to.equal('settled');
    await publish([2]);
    await eventually(() => expect(inbox.at(-1).frame.body.toString()).to.contain('[2]'));
  });

  it('keeps a delivery of a former channel away from the messages of the present one', async () => {
    const inbox = new Inbox();
    await transport.consume(queue, 5, inbox);
    await Promise.all([publish([1]), publish([2])]);
    await eventually(() => inbox.at(1));
    proxy.cut();
    await eventually(() => inbox.at(3), { timeout: TIMEOUT });
    for (const old of inbox.deliveries.slice(0, 2)) expect(old.ack()).to.equal('stale');
    for (const current of inbox.deliveries.slice(2)) expect(current.requeue()).to.equal('settled');
    await eventually(() => inbox.at(5));
  });

  // D7
  it('publishes again what was not confirmed before the cut, with another copy value', async () => {
    const frame = frameOf({ args: ['twice'] });
    proxy.mute();
    const outcome = transport.publish({ queue, frame, timeout: TIMEOUT });
    await stored(queue, 1);
    proxy.cut();
    await outcome;
    const inbox = new Inbox();
    await transport.consume(queue, 5, inbox);
    await eventually(() => inbox.at(1));
    const [one, two] = inbox.deliveries.map(({ frame: { headers } }) => headers);
    expect([one?.['id'], two?.['id']]).to.deep.equal([frame.headers['id'], frame.headers['id']]);
    expect(one?.['copy']).to.not.equal(two?.['copy']);
  });

  it('says that nobody knows when the confirm stays away until the timeout', async () => {
    proxy.mute();
    const outcome = rejection(publish([1], 700));
    await stored(queue, 1);
    proxy.refuse(true);
    proxy.cut();
    expect(await outcome).to.be.instanceOf(PublishOutcomeUnknownError);
    proxy.refuse(false);
  });

  it('says that nothing was published when there was no link until the timeout', async () => {
    proxy.refuse(true);
    proxy.cut();
    await eventually(async () => expect(await rejection(publish([1], 300))).to.be.instanceOf(BrokerUnavailableError));
    proxy.refuse(false);
  });

  it('takes publishes while it has no link, and sends them when it is back', async () => {
    proxy.refuse(true);
    proxy.cut();
    const outcomes = Array.from({ length: 50 }, (_, i) => publish([i]));
    proxy.refuse(false);
    await Promise.all(outcomes);
    expect((await transport.figures(queue)).ready).to.equal(50);
  });

  it('loses nothing when it is cut again and again under load', async () => {
    const inbox = new Inbox({ ack: true });
    await transport.consume(queue, 20, inbox);
    const outcomes: Promise<void>[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (let i = 0; i < 100; i += 1) outcomes.push(publish([round * 100 + i]));
      const seen = inbox.deliveries.length;
      await eventually(() => expect(inbox.deliveries.length).to.be.greaterThan(seen), { timeout: TIMEOUT });
      proxy.cut();
    }
    await Promise.all(outcomes);
    await eventually(() => expect(new Set(inbox.args.map(String)).size).to.equal(500), { timeout: TIMEOUT });
  });

  it('relays delayed messages across cuts', async () => {
    await transport.relay();
    const inbox = new Inbox({ ack: true });
    await transport.consume(queue, 20, inbox);
    const due = Date.now() + 1200;
    await transport.publish({ queue, frame: frameOf(), due, timeout: TIMEOUT });
    proxy.cut();
    await eventually(() => inbox.at(0), { timeout: TIMEOUT });
    expect(inbox.times[0]).to.be.at.least(due);
  });

  it('closes in seconds when the peer is silent', async () => {
    await transport.consume(queue, 1, new Inbox());
    proxy.mute();
    const start = performance.now();
    await transport.close();
    expect(performance.now() - start).to.be.below(9_000);
  });
});

/** Waits until the queue has so many messages, looking past the proxy. */
async function stored(queue: string, count: number): Promise<void> {
  const connection = await connect(amqpUrl());
  const channel = await connection.createChannel();
  await eventually(async () => expect((await channel.checkQueue(queue)).messageCount).to.equal(count));
  await connection.close();
}
