import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import { BrokerUnavailableError, PublishRefusedError, QueueMismatchError } from '../../lib/errors.js';
import { deadQueue, type Transport } from '../../lib/transport.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { eventually } from '../support/eventually.js';
import { frameOf, Inbox, rejection } from '../support/transports.js';

describe('a memory broker that is made to fail', () => {
  let broker: MemoryBroker;
  let transport: Transport;

  const publish = (args: unknown[], timeout = 1000): Promise<void> =>
    transport.publish({ queue: 'work', frame: frameOf({ args }), timeout });

  beforeEach(async () => {
    broker = new MemoryBroker(systemClock);
    transport = createMemoryTransport({ clock: systemClock, broker });
    await transport.connect(1000);
    await transport.declare([{ name: 'work' }]);
  });
  afterEach(() => transport.close());

  it('delivers again, flagged and in order, what was open when connections were dropped', async () => {
    const inbox = new Inbox();
    await transport.consume('work', 2, inbox);
    await Promise.all([publish([1]), publish([2]), publish([3])]);
    await eventually(() => inbox.at(1));
    broker.dropConnections();
    expect([inbox.losses, inbox.at(0).stale, inbox.at(0).ack()]).to.deep.equal([1, true, 'stale']);
    await eventually(() => inbox.at(3));
    expect(inbox.args).to.deep.equal([[1], [2], [1], [2]]);
    expect(inbox.deliveries.map(({ redelivered }) => redelivered)).to.deep.equal([false, false, true, true]);
  });

  it('takes publishes while it is down when it comes back in time', async () => {
    broker.stop();
    const late = publish([1]);
    expect(await rejection(publish([2], 20))).to.be.instanceOf(BrokerUnavailableError);
    broker.start();
    await late;
    expect((await transport.figures('work')).ready).to.equal(1);
  });

  it('says when it goes and comes', async () => {
    const told: string[] = [];
    transport.listen({
      connected: (link) => told.push(`up ${link}`),
      disconnected: (link) => told.push(`down ${link}`),
      blocked() {},
    });
    broker.stop();
    broker.start();
    expect(told).to.deep.equal(['down publish', 'down consume', 'up publish', 'up consume']);
  });

  it('refuses publishes to a queue when told to', async () => {
    broker.refuse('work');
    expect(await rejection(publish([1]))).to.be.instanceOf(PublishRefusedError);
    broker.accept('work');
    await publish([2]);
  });

  it('offers a due message again to a queue that refused it', async () => {
    broker.refuse('work');
    const due = Date.now() + 1_500;
    await transport.publish({ queue: 'work', frame: frameOf(), due, timeout: 1_000 });
    await transport.relay();
    const dead = deadQueue('due');
    await eventually(() => expect(Date.now()).to.be.above(due + 50));
    broker.accept('work');
    await eventually(async () => expect((await transport.figures('work')).ready).to.equal(1));
    expect((await transport.figures(dead)).ready).to.equal(0);
  });

  it('refuses a queue with other arguments', async () => {
    const error = await rejection(transport.declare([{ name: 'work', type: 'classic' }]));
    expect(error).to.be.instanceOf(QueueMismatchError).with.property('message').that.contains('quorum');
  });

  it('lets timers have their turn while it delivers', async () => {
    const inbox = new Inbox({ ack: true });
    let before = 0;
    await Promise.all(Array.from({ length: 5000 }, (_, i) => publish([i])));
    systemClock.after(0, () => (before = inbox.deliveries.length));
    await transport.consume('work', 1, inbox);
    await eventually(() => expect(inbox.deliveries.length).to.equal(5000));
    expect(before).to.be.below(1000);
  });
});
