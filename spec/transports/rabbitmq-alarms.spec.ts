import { expect } from 'chai';
import { createApp, Task } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { BrokerUnavailableError, PublishOutcomeUnknownError } from '../../lib/errors.js';
import type { Transport } from '../../lib/transport.js';
import { parseAddress } from '../../lib/transports/rabbitmq-address.js';
import { onThrowAwayChannel } from '../../lib/transports/rabbitmq-channel.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';
import { Link } from '../../lib/transports/rabbitmq-link.js';
import { Publisher } from '../../lib/transports/rabbitmq-publisher.js';
import { declareDelays, rungName } from '../../lib/transports/rabbitmq-topology.js';
import { eventually } from '../support/eventually.js';
import { type RabbitServer, startRabbit, testRedisUrl } from '../support/servers.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { amqpUrl, frameOf, fresh, Inbox, rabbit, rejection } from '../support/transports.js';

const TIMEOUT = 10_000;

describe('a RabbitMQ transport whose broker raises an alarm', () => {
  let server: RabbitServer;
  let proxy: TcpProxy;
  let transport: Transport;
  const namespace = fresh('ns');

  before(async () => {
    server = await startRabbit();
    proxy = await startProxy(server.url);
    transport = rabbit(namespace, proxy.url);
  });
  after(async () => {
    proxy.cut();
    await transport.close();
    await proxy.close();
    await server.stop();
  });

  /** A link is blocked by the first publish after the alarm: one that overtakes it would be told of nothing. */
  const alarm = async (): Promise<void> => {
    await server.ctl('set_vm_memory_high_watermark', 'absolute', '1');
    await eventually(async () => expect(await server.ctl('eval', 'rabbit_alarm:get_alarms().')).to.contain('memory'));
  };

  it('waits, says so, takes a lost link for the end of it, and publishes when it is over', async () => {
    const told: boolean[] = [];
    transport.listen({ connected() {}, disconnected() {}, blocked: (blocked) => told.push(blocked) });
    const queue = fresh('work');
    await transport.connect(TIMEOUT);
    await transport.declare([{ name: queue }]);
    await alarm();
    const outcome = transport.publish({ queue, frame: frameOf(), timeout: 2 * TIMEOUT });
    await eventually(() => expect(told).to.deep.equal([true]));
    proxy.cut();
    await eventually(() => expect(told.slice(0, 2)).to.deep.equal([true, false]));
    await server.ctl('set_vm_memory_high_watermark', '0.6');
    await outcome;
    await eventually(() => expect(told.at(-1)).to.equal(false));
  });

  describe('and that goes on', () => {
    let plain: Transport;
    let queue: string;
    let told: (string | undefined)[];

    beforeEach(async () => {
      plain = rabbit(namespace, server.url);
      told = [];
      plain.listen({ connected() {}, disconnected() {}, blocked: (_, reason) => void told.push(reason) });
      queue = fresh('work');
      await plain.connect(TIMEOUT);
      await plain.declare([{ name: queue }]);
    });
    afterEach(async () => {
      await server.ctl('set_vm_memory_high_watermark', '0.6');
      await plain.close();
    });
    const publish = (timeout: number, frame = frameOf()): Promise<void> => plain.publish({ queue, frame, timeout });
    /** A link is blocked as soon as it publishes: nobody can say what becomes of that message. */
    const blocked = async (timeout: number): Promise<{ first: Promise<void> }> => {
      await alarm();
      const first = publish(timeout);
      first.catch(() => {});
      await eventually(() => expect(told).to.deep.equal(['low on memory']));
      return { first };
    };

    it('fails what waits in vain by naming the alarm, and consumers acknowledge meanwhile', async () => {
      await Promise.all(Array.from({ length: 20 }, () => publish(TIMEOUT)));
      const inbox = new Inbox();
      await plain.consume(queue, 5, inbox);
      await eventually(() => inbox.at(4));
      const { first } = await blocked(3_000);
      expect(plain.health()).to.deep.equal({ publish: 'blocked', consume: 'up', reason: 'low on memory' });
      const later = await rejection(publish(500));
      expect(later).to.be.instanceOf(BrokerUnavailableError).with.property('message').that.contains('low on memory');
      expect(later).to.have.nested.property('data.alarm', 'low on memory');
      for (let i = 0; i < 20; i += 1) expect((await eventually(() => inbox.at(i))).ack()).to.equal('settled');
      await eventually(async () => expect((await plain.figures(queue)).ready).to.equal(0));
      expect(plain.health().publish).to.equal('blocked');
      const unknown = await rejection(first);
      expect(unknown)
        .to.be.instanceOf(PublishOutcomeUnknownError)
        .with.property('message')
        .that.contains('low on memory');
      await server.ctl('set_vm_memory_high_watermark', '0.6');
      await publish(TIMEOUT);
      expect(plain.health()).to.deep.equal({ publish: 'up', consume: 'up', reason: undefined });
    });

    it('is not taken for a silence: what was sent before is not sent again, however late its confirm', async () => {
      let skipped = 0;
      const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skipped };
      const patient = createRabbitTransport({ url: server.url, namespace, clock, connectionName: 'spec' });
      await patient.connect(TIMEOUT);
      await alarm();
      const first = patient.publish({ queue, frame: frameOf(), timeout: 600_000 });
      await eventually(() => expect(patient.health().publish).to.equal('blocked'));
      skipped = 60_000;
      // Its time is up only after the look at the confirms.
      await rejection(patient.publish({ queue, frame: frameOf(), timeout: 500 }));
      await server.ctl('set_vm_memory_high_watermark', '0.6');
      await first;
      expect((await plain.figures(queue)).ready).to.equal(1);
      await patient.close();
    });

    it('keeps so many messages waiting, and refuses more at once', async () => {
      const { first } = await blocked(30_000);
      const frame = frameOf();
      const errors: Error[] = [];
      const waiting = Array.from({ length: 100_000 }, () =>
        publish(4_000, frame).catch((error: Error) => errors.push(error)),
      );
      const error = await rejection(publish(4_000, frame));
      expect(error).to.be.instanceOf(BrokerUnavailableError).with.property('message').that.contains('low on memory');
      expect(error.message).to.contain('100000 messages');
      expect(errors.length).to.equal(0);
      await Promise.all(waiting);
      expect(errors.length).to.equal(100_000);
      const large = { ...frame, body: Buffer.alloc(2 ** 20) };
      const few = Array.from({ length: 128 }, () => publish(500, large).catch((error: Error) => errors.push(error)));
      expect((await rejection(publish(500, large))).message).to.contain('128 MiB');
      await Promise.all(few);
      await server.ctl('set_vm_memory_high_watermark', '0.6');
      await first;
      await publish(TIMEOUT);
    });
  });

  it('frees the key of a call that failed because of it', async () => {
    class Loans {
      @Task({ queue: fresh('work'), unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const links = { broker: server.url, locks: testRedisUrl(), namespace };
    await using app = createApp({ ...links, services: [Loans], publishTimeout: '1s' });
    const told: (string | undefined)[] = [];
    app.on('broker:blocked', ({ reason }) => told.push(reason));
    await app.connect({ timeout: TIMEOUT });
    await server.ctl('set_disk_free_limit', '900000GB');
    const first = rejection(app.tasks(Loans).recompute(1));
    await eventually(() => expect(told).to.deep.equal(['low on disk']));
    expect(await rejection(app.tasks(Loans).recompute(2))).to.have.property('code', 'BROKER_UNAVAILABLE');
    expect(await first).to.have.property('code', 'PUBLISH_UNKNOWN');
    await server.ctl('set_disk_free_limit', '50MB');
    await eventually(() => expect(told.at(-1)).to.equal(undefined));
    expect(await app.tasks(Loans).recompute(2)).to.include({ status: 'enqueued' });
  });

  it('is told of by the app', async () => {
    class Loans {
      @Task({ queue: fresh('work') })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    await using app = createApp({
      broker: server.url,
      locks: testRedisUrl(),
      services: [Loans],
      namespace,
    });
    const told: [boolean, string | undefined][] = [];
    app.on('broker:blocked', ({ blocked, reason }) => told.push([blocked, reason]));
    await app.connect();
    const metrics = await app.metrics();
    await alarm();
    const receipt = app.tasks(Loans).recompute(1);
    await eventually(() => expect(told).to.deep.equal([[true, 'low on memory']]));
    const reason = 'RabbitMQ takes no messages, for it has raised an alarm (publish): low on memory';
    expect(app.health()).to.deep.equal({ ready: false, reasons: [reason] });
    expect(await metrics.text())
      .to.contain('\nsolotask_broker_blocked 1\n')
      .and.contain('\nsolotask_ready 0\n');
    await server.ctl('set_vm_memory_high_watermark', '0.6');
    expect(await receipt).to.include({ status: 'enqueued' });
    await eventually(() => expect(told.at(-1)).to.deep.equal([false, undefined]));
    expect(app.health()).to.deep.equal({ ready: true, reasons: [] });
    expect(await metrics.text()).to.contain('\nsolotask_broker_blocked 0\n');
  });
});

describe('a publisher', () => {
  it('listens for alarms once per connection, however many channels it loses', async () => {
    const namespace = fresh('ns');
    const link = new Link({
      name: 'publish',
      address: parseAddress(amqpUrl()),
      connectionName: 'spec',
      clock: systemClock,
      events: () => ({ connected() {}, disconnected() {}, blocked() {} }),
    });
    let prepared = 0;
    const publisher = new Publisher({
      link,
      clock: systemClock,
      namespace,
      prepare: async (model) => {
        prepared += 1;
        await onThrowAwayChannel(model, systemClock, (channel) => declareDelays(channel, namespace));
      },
    });
    link.start();
    await publisher.start();
    const model = await link.ready();
    const before = model.listenerCount('blocked');
    await onThrowAwayChannel(model, systemClock, (channel) => channel.deleteExchange(rungName(namespace, 1000)));
    await publisher.publish({ queue: 'q', frame: frameOf(), due: Date.now() + 1500, timeout: TIMEOUT });
    expect([prepared, await link.ready(), model.listenerCount('blocked')]).to.deep.equal([2, model, before]);
    await publisher.close();
    await link.close();
  });
});
