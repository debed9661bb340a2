import { expect } from 'chai';
import { createApp, Task } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import type { Transport } from '../../lib/transport.js';
import { parseAddress } from '../../lib/transports/rabbitmq-address.js';
import { onThrowAwayChannel } from '../../lib/transports/rabbitmq-channel.js';
import { Link } from '../../lib/transports/rabbitmq-link.js';
import { Publisher } from '../../lib/transports/rabbitmq-publisher.js';
import { declareDelays, rungName } from '../../lib/transports/rabbitmq-topology.js';
import { eventually } from '../support/eventually.js';
import { type RabbitServer, startRabbit, testRedisUrl } from '../support/servers.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { amqpUrl, frameOf, fresh, rabbit } from '../support/transports.js';

const TIMEOUT = 10_000;

describe('a RabbitMQ transport whose broker raises an alarm', () => {
  let server: RabbitServer;
  let proxy: TcpProxy;
  let transport: Transport;

  before(async () => {
    server = await startRabbit();
    proxy = await startProxy(server.url);
    transport = rabbit(fresh('ns'), proxy.url);
  });
  after(async () => {
    proxy.cut();
    await transport.close();
    await proxy.close();
    await server.stop();
  });

  it('waits, says so, takes a lost link for the end of it, and publishes when it is over', async () => {
    const told: boolean[] = [];
    transport.listen({ connected() {}, disconnected() {}, blocked: (blocked) => told.push(blocked) });
    const queue = fresh('work');
    await transport.connect(TIMEOUT);
    await transport.declare([{ name: queue }]);
    await server.ctl('set_vm_memory_high_watermark', 'absolute', '1');
    const outcome = transport.publish({ queue, frame: frameOf(), timeout: 2 * TIMEOUT });
    await eventually(() => expect(told).to.deep.equal([true]));
    proxy.cut();
    await eventually(() => expect(told.slice(0, 2)).to.deep.equal([true, false]));
    await server.ctl('set_vm_memory_high_watermark', '0.6');
    await outcome;
    await eventually(() => expect(told.at(-1)).to.equal(false));
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
      namespace: fresh('ns'),
    });
    const told: [boolean, string | undefined][] = [];
    app.on('broker:blocked', ({ blocked, reason }) => told.push([blocked, reason]));
    await app.connect();
    await server.ctl('set_vm_memory_high_watermark', 'absolute', '1');
    const receipt = app.tasks(Loans).recompute(1);
    await eventually(() => expect(told).to.deep.equal([[true, 'low on memory']]));
    expect(app.health()).to.deep.equal({ ready: false, reasons: ['RabbitMQ takes no messages: low on memory'] });
    await server.ctl('set_vm_memory_high_watermark', '0.6');
    expect(await receipt).to.include({ status: 'enqueued' });
    await eventually(() => expect(told.at(-1)).to.deep.equal([false, undefined]));
    expect(app.health()).to.deep.equal({ ready: true, reasons: [] });
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
