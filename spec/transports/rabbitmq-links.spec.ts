import { EventEmitter } from 'node:events';
import { type Channel, connect } from 'amqplib';
import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import { BrokerUnavailableError, PublishOutcomeUnknownError } from '../../lib/errors.js';
import type { Transport } from '../../lib/transport.js';
import { parseAddress } from '../../lib/transports/rabbitmq-address.js';
import { onThrowAwayChannel } from '../../lib/transports/rabbitmq-channel.js';
import { Consumer } from '../../lib/transports/rabbitmq-consumer.js';
import { backOff, Link } from '../../lib/transports/rabbitmq-link.js';
import { declareWorkQueue } from '../../lib/transports/rabbitmq-topology.js';
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

  /** Cuts the links, does something while they are down, and lets the consumers have their first try afterwards. */
  const whileCut = async <T>(run: () => T | Promise<T>): Promise<T> => {
    proxy.refuse(true);
    proxy.cut();
    const result = await run();
    proxy.refuse(false);
    // Each asks over a channel of its own, after the consumers, which wait for the same link.
    for (let i = 0; i < 5; i += 1) await transport.figures(`${namespace}.v1.due`);
    return result;
  };

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

  it('goes on trying when the broker refuses its consumer for a while', async () => {
    const classic = `${queue}c`;
    await transport.declare([{ name: classic, type: 'classic' }]);
    const inbox = new Inbox({ ack: true });
    await transport.consume(classic, 1, inbox);
    const release = await whileCut(() => onlyConsumer(classic));
    expect((await transport.figures(classic)).consumers).to.equal(1);
    await release();
    await eventually(async () => expect((await transport.figures(classic)).consumers).to.equal(1), {
      timeout: TIMEOUT,
    });
    await transport.publish({ queue: classic, frame: frameOf(), timeout: TIMEOUT });
    await eventually(() => inbox.at(0));
  });

  it('goes on trying while its queue has other arguments, and consumes it once it is its own again', async () => {
    const inbox = new Inbox({ ack: true });
    await transport.consume(queue, 1, inbox);
    await whileCut(() =>
      past(async (channel) => {
        await channel.deleteQueue(queue);
        await channel.assertQueue(queue, { durable: true });
      }),
    );
    expect((await transport.figures(queue)).consumers).to.equal(0);
    await past((channel) => channel.deleteQueue(queue));
    await eventually(async () => expect((await transport.figures(queue)).consumers).to.equal(1), { timeout: TIMEOUT });
    await publish([1]);
    await eventually(() => inbox.at(0));
  });

  it('subscribes no more when it was cancelled while the link was down', async () => {
    const subscription = await transport.consume(queue, 1, new Inbox());
    await whileCut(async () => {
      const start = performance.now();
      const other = rabbit(namespace);
      await other.connect(TIMEOUT);
      await other.publish({ queue, frame: frameOf(), timeout: TIMEOUT });
      await other.close();
      // The back-off is over then: the consumer waits for the link.
      await eventually(() => expect(performance.now() - start).to.be.above(200));
      await subscription.cancel();
    });
    const inbox = new Inbox();
    await transport.consume(queue, 1, inbox);
    await eventually(() => inbox.at(0));
    expect(inbox.at(0).redelivered).to.equal(false);
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

  it('says that nobody knows when a further copy comes back, for the first may be stored', async () => {
    proxy.mute();
    const outcome = rejection(publish([1]));
    await stored(queue, 1);
    await whileCut(() => past((channel) => channel.deleteQueue(queue)));
    expect(await outcome).to.be.instanceOf(PublishOutcomeUnknownError);
  });

  it('ends a handshake that hangs when it is closed', async () => {
    proxy.mute();
    const hanging = rabbit(namespace, proxy.url);
    expect(await rejection(hanging.connect(200))).to.be.instanceOf(BrokerUnavailableError);
    const others = proxy.clients - 2;
    expect(others).to.be.above(0);
    await hanging.close();
    // Much less than the driver's own patience, which is ten seconds.
    await eventually(() => expect(proxy.clients).to.equal(2), { timeout: 3_000 });
    proxy.cut();
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

  it('cancels in seconds when the peer is silent', async () => {
    const subscription = await transport.consume(queue, 1, new Inbox());
    proxy.mute();
    const start = performance.now();
    await subscription.cancel();
    expect(performance.now() - start).to.be.below(3_000);
    proxy.cut();
  });

  it('gives back in seconds what it cannot relay because the peer is silent', async () => {
    const relay = await transport.relay();
    const due = Date.now() + 1700;
    await transport.publish({ queue, frame: frameOf(), due, timeout: TIMEOUT });
    for (const name of ['delay.1000', 'due']) {
      await eventually(async () => expect((await transport.figures(`${namespace}.v1.${name}`)).ready).to.equal(0));
    }
    proxy.mute();
    await stored(queue, 1);
    const start = performance.now();
    await relay.cancel();
    expect(performance.now() - start).to.be.below(6_000);
    await stored(`${namespace}.v1.due`, 1);
    proxy.cut();
  });

  it('closes in seconds when the peer is silent', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const silenced = rabbit(namespace, proxy.url);
    await silenced.connect(TIMEOUT);
    const connected = timers();
    await silenced.consume(queue, 1, new Inbox());
    proxy.mute();
    const start = performance.now();
    await silenced.close();
    expect(performance.now() - start).to.be.below(9_000);
    // Heartbeats that went on would keep the process alive: two timers on each of two links.
    expect(timers()).to.be.at.most(connected - 4);
    proxy.cut();
  });
});

describe('a RabbitMQ link', () => {
  it('waits a random time below a bound that doubles, up to ten seconds, before it tries again', () => {
    const waits = (random: number): number[] =>
      Array.from({ length: 10 }, (_, attempt) => backOff({ ...systemClock, random: () => random }, attempt));
    expect(waits(0.5)).to.deep.equal([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    expect(waits(0)).to.deep.equal(Array(10).fill(0));
    expect(Math.max(...waits(0.999))).to.be.below(10_000);
  });

  // Whatever the reason: an acknowledgement timeout ends a channel just so.
  it('loses a channel under one consumer: that one is built again, its neighbour and the link stay', async () => {
    const events = { connected() {}, disconnected() {}, blocked() {} };
    const address = parseAddress(amqpUrl());
    const link = new Link({
      name: 'consume',
      address,
      connectionName: 'spec',
      clock: systemClock,
      events: () => events,
    });
    link.start();
    const model = await link.ready();
    const queues = [fresh('one'), fresh('other')] as const;
    for (const queue of queues) {
      await onThrowAwayChannel(model, systemClock, (channel) => declareWorkQueue(channel, { name: queue }));
    }
    const [one, other] = [new Inbox(), new Inbox()];
    const consumers = [one, other].map((handler, i) => {
      const parts = { link, clock: systemClock, queue: queues[i] as string, prefetch: 5, handler };
      return new Consumer({ ...parts, prepare: async () => {}, ended: () => {} });
    });
    for (const consumer of consumers) await consumer.start();
    await onThrowAwayChannel(model, systemClock, async (channel) => {
      for (const queue of queues) channel.sendToQueue(queue, Buffer.from('[[1]]'));
    });
    await eventually(() => [one.at(0), other.at(0)]);
    const { channels } = model.connection as unknown as { channels: ({ channel: Channel } | null)[] };
    const first = channels.find((entry) => entry?.channel instanceof EventEmitter)?.channel as Channel;
    await rejection(first.checkQueue(fresh('nowhere')));
    await eventually(() => expect(one.at(1).redelivered).to.equal(true));
    expect([one.losses, one.at(0).ack(), one.at(1).ack()]).to.deep.equal([1, 'stale', 'settled']);
    expect([other.losses, other.at(0).ack(), await link.ready()]).to.deep.equal([0, 'settled', model]);
    for (const consumer of consumers) await consumer.close();
    await link.close();
  });
});

/** Runs something on a channel that does not go through the proxy. */
async function past(run: (channel: Channel) => Promise<unknown>): Promise<void> {
  const connection = await connect(amqpUrl());
  await run(await connection.createChannel());
  await connection.close();
}

/** Waits until the queue has so many messages, looking past the proxy. */
const stored = (queue: string, count: number): Promise<void> =>
  past((channel) => eventually(async () => expect((await channel.checkQueue(queue)).messageCount).to.equal(count)));

/** Consumes exclusively, looking past the proxy: anybody else is refused (403) until the release. */
async function onlyConsumer(queue: string): Promise<() => Promise<void>> {
  const connection = await connect(amqpUrl());
  const channel = await connection.createChannel();
  await eventually(async () => expect((await channel.checkQueue(queue)).consumerCount).to.equal(0));
  await channel.consume(queue, () => {}, { exclusive: true });
  return () => connection.close();
}
