import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import { BrokerUnavailableError, ClosedError, UnroutableError } from '../../lib/errors.js';
import { deadQueue, type Delivery, type Transport } from '../../lib/transport.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { eventually } from '../support/eventually.js';
import { frameOf, fresh, Inbox, rabbit, rejection } from '../support/transports.js';

/** One adapter under test: transports that share a broker. */
interface Adapter {
  readonly name: string;
  setUp(): () => Transport;
}

const adapters: Adapter[] = [
  {
    name: 'memory',
    setUp() {
      const broker = new MemoryBroker(systemClock);
      return () => createMemoryTransport({ clock: systemClock, broker });
    },
  },
  {
    name: 'RabbitMQ',
    setUp() {
      const namespace = fresh('ns');
      return () => rabbit(namespace);
    },
  },
];

const TIMEOUT = 5000;

for (const adapter of adapters) {
  describe(`a transport over ${adapter.name}`, () => {
    const open: Transport[] = [];
    let make: () => Transport;
    let transport: Transport;
    let queue: string;

    const connected = async (): Promise<Transport> => {
      const other = make();
      open.push(other);
      await other.connect(TIMEOUT);
      return other;
    };
    const publish = (args: unknown[], due?: number): Promise<void> =>
      transport.publish({ queue, frame: frameOf({ args }), due, timeout: TIMEOUT });
    const context: Context = {
      connected,
      publish,
      get transport() {
        return transport;
      },
      get queue() {
        return queue;
      },
    };

    before(() => {
      make = adapter.setUp();
    });
    beforeEach(async () => {
      transport = await connected();
      queue = fresh('work');
      await transport.declare([{ name: queue }]);
    });
    afterEach(() => Promise.all(open.splice(0).map((each) => each.close())));

    describe('publishing', () => publishing(context));
    describe('settling', () => settling(context));
    describe('consuming', () => consuming(context));
    describe('priorities', () => priorities(context));
    describe('delaying', () => delaying(context));
    describe('pulling', () => pulling(context));
    describe('closing', () => closing(context));
  });
}

interface Context {
  readonly transport: Transport;
  readonly queue: string;
  connected(): Promise<Transport>;
  publish(args: unknown[], due?: number): Promise<void>;
}

function publishing(c: Context): void {
  it('has the message in the queue when the publish resolves', async () => {
    await c.publish([1]);
    expect(await c.transport.figures(c.queue)).to.deep.equal({ ready: 1, consumers: 0 });
  });

  it('rejects when no queue takes the message, and the neighbours go through', async () => {
    const lost = c.transport.publish({ queue: fresh('nowhere'), frame: frameOf(), timeout: TIMEOUT });
    const others = Array.from({ length: 20 }, (_, i) => c.publish([i]));
    expect(await rejection(lost)).to.be.instanceOf(UnroutableError);
    await Promise.all(others);
    expect((await c.transport.figures(c.queue)).ready).to.equal(20);
  });

  it('carries bytes, properties and headers as they are', async () => {
    const args = ['äöü €\u{1F600}', { deep: [null, 1.5, -7, true] }, 'x'.repeat(1024 * 1024)];
    const frame = frameOf({ args, headers: { tenant: 'Zürich', ratio: 0.25, big: 2 ** 40 } });
    await c.transport.publish({ queue: c.queue, frame, timeout: TIMEOUT });
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(0));
    const arrived = inbox.at(0).frame;
    expect(arrived.body.equals(frame.body)).to.equal(true);
    expect(arrived.properties).to.deep.equal(frame.properties);
    expect(arrived.headers).to.deep.include({ ...frame.headers, copy: arrived.headers['copy'] });
  });

  it('gives each publish of one frame a copy header of its own, and leaves out the headers of a former life', async () => {
    const frame = frameOf();
    const former = { ...frame, headers: { ...frame.headers, 'x-death': [{ count: 1 }], 'x-any': 1, copy: 'old' } };
    const send = (): Promise<void> => c.transport.publish({ queue: c.queue, frame: former, timeout: TIMEOUT });
    await Promise.all([send(), send()]);
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 2, inbox);
    await eventually(() => inbox.at(1));
    const [one, two] = inbox.deliveries.map(({ frame: { headers } }) => headers);
    expect(one?.['copy']).to.be.a('string').and.not.equal(two?.['copy']);
    expect([one?.['copy'], two?.['copy']]).to.not.include('old');
    expect(Object.keys(one ?? {}).filter((name) => name.startsWith('x-'))).to.deep.equal([]);
  });

  it('takes dead letters in a queue beside each work queue', async () => {
    await c.transport.publish({ queue: deadQueue(c.queue), frame: frameOf(), timeout: TIMEOUT });
    expect((await c.transport.figures(deadQueue(c.queue))).ready).to.equal(1);
  });

  it('keeps the order of publishes to one queue', async () => {
    await Promise.all(Array.from({ length: 300 }, (_, i) => c.publish([i])));
    const inbox = new Inbox({ ack: true });
    await c.transport.consume(c.queue, 50, inbox);
    await eventually(() => expect(inbox.deliveries.length).to.equal(300));
    expect(inbox.args).to.deep.equal(Array.from({ length: 300 }, (_, i) => [i]));
  });
}

function settling(c: Context): void {
  it('acknowledges once; the second time nothing happens and it says stale', async () => {
    await Promise.all([c.publish([1]), c.publish([2]), c.publish([3])]);
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 2, inbox);
    await eventually(() => inbox.at(1));
    const first = inbox.at(0);
    expect([first.stale, first.ack(), first.stale, first.ack(), first.requeue()]).to.deep.equal([
      false,
      'settled',
      true,
      'stale',
      'stale',
    ]);
    await eventually(() => inbox.at(2));
    expect([inbox.at(1).ack(), inbox.at(2).ack(), inbox.losses]).to.deep.equal(['settled', 'settled', 0]);
  });

  it('says when what was settled is on its way, whatever became of the channel', async () => {
    await c.publish([1]);
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(0));
    inbox.at(0).ack();
    await inbox.at(0).flushed();
    await inbox.at(0).flushed();
    await c.transport.close();
    await inbox.at(0).flushed();
  });

  it('gives a requeued message to whoever comes first, flagged', async () => {
    await c.publish([1]);
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(0));
    expect(inbox.at(0).redelivered).to.equal(false);
    expect(inbox.at(0).requeue()).to.equal('settled');
    await eventually(() => inbox.at(1));
    expect(inbox.at(1).redelivered).to.equal(true);
    expect(inbox.at(1).frame.headers['copy']).to.equal(inbox.at(0).frame.headers['copy']);
  });

  it('shares no object between a delivery and its redelivery', async () => {
    await c.publish([1]);
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(0));
    inbox.at(0).frame.body.fill(0);
    inbox.at(0).requeue();
    await eventually(() => inbox.at(1));
    expect(inbox.at(1).frame.body.toString()).to.contain('[1]');
  });

  it('gives what a closed transport had not settled to another one, flagged', async () => {
    await c.publish([1]);
    const other = await c.connected();
    const gone = new Inbox();
    await other.consume(c.queue, 1, gone);
    await eventually(() => gone.at(0));
    await other.close();
    expect([gone.at(0).stale, gone.at(0).ack()]).to.deep.equal([true, 'stale']);
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(0));
    expect(inbox.at(0).redelivered).to.equal(true);
  });
}

function consuming(c: Context): void {
  it('has no more than prefetch deliveries open at a time', async () => {
    await Promise.all(Array.from({ length: 10 }, (_, i) => c.publish([i])));
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 3, inbox);
    await eventually(async () => expect((await c.transport.figures(c.queue)).ready).to.equal(7));
    expect(inbox.deliveries.length).to.equal(3);
    inbox.at(1).ack();
    await eventually(() => expect(inbox.deliveries.length).to.equal(4));
    await eventually(async () => expect((await c.transport.figures(c.queue)).ready).to.equal(6));
  });

  it('stops deliveries on cancel, and lets the open ones be settled', async () => {
    await c.publish([1]);
    const inbox = new Inbox();
    const subscription = await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(0));
    await subscription.cancel();
    await c.publish([2]);
    expect(inbox.at(0).ack()).to.equal('settled');
    await eventually(async () => {
      expect(await c.transport.figures(c.queue)).to.deep.equal({ ready: 1, consumers: 0 });
    });
    expect(inbox.deliveries.length).to.equal(1);
  });

  it('survives a handler that throws, and delivers the message again', async () => {
    await c.publish([1]);
    const inbox = new Inbox();
    let thrown = false;
    await c.transport.consume(c.queue, 1, {
      deliver(delivery) {
        if (thrown) return inbox.deliver(delivery);
        thrown = true;
        throw new Error('a broken handler');
      },
      lost: () => inbox.lost(),
    });
    await eventually(() => inbox.at(0));
    expect([inbox.at(0).redelivered, inbox.losses]).to.deep.equal([true, 0]);
  });

  it('delivers by priority, then by age, where a classic queue has priorities; what comes back as well', async () => {
    const queue = fresh('classic');
    await c.transport.declare([{ name: queue, type: 'classic', maxPriority: 3 }]);
    const send = (name: string, priority?: number): Promise<void> =>
      c.transport.publish({ queue, frame: frameOf({ args: [name], priority }), timeout: TIMEOUT });
    // More than the maximum counts as the maximum.
    const given: [string, number?][] = [['none'], ['one', 1], ['nine', 9], ['three', 3], ['another one', 1]];
    for (const [name, priority] of given) await send(name, priority);
    const first = new Inbox();
    const subscription = await c.transport.consume(queue, 1, first);
    await eventually(() => first.at(0));
    await subscription.cancel();
    first.at(0).requeue();
    await eventually(async () => expect((await c.transport.figures(queue)).ready).to.equal(5));
    const inbox = new Inbox({ ack: true });
    await c.transport.consume(queue, 1, inbox);
    await eventually(() => inbox.at(4));
    expect(inbox.args).to.deep.equal([['nine'], ['three'], ['one'], ['another one'], ['none']]);
  });

  it('delivers by age alone where a queue has no priorities', async () => {
    for (const priority of [1, 4, 2]) {
      const frame = frameOf({ args: [priority], priority });
      await c.transport.publish({ queue: c.queue, frame, timeout: TIMEOUT });
    }
    const inbox = new Inbox({ ack: true });
    await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(2));
    expect(inbox.args).to.deep.equal([[1], [4], [2]]);
  });

  it('shares a queue between consumers', async () => {
    const [one, two] = [new Inbox(), new Inbox()];
    await c.transport.consume(c.queue, 5, one);
    await (await c.connected()).consume(c.queue, 5, two);
    await Promise.all(Array.from({ length: 10 }, (_, i) => c.publish([i])));
    await eventually(() => expect([one.deliveries.length, two.deliveries.length]).to.deep.equal([5, 5]));
  });
}

function priorities(c: Context): void {
  const send = (queue: string, ...priorities: (number | undefined)[]): Promise<unknown> =>
    Promise.all(
      priorities.map((priority, place) =>
        c.transport.publish({
          queue,
          frame: frameOf({ args: [priority ?? 'none', place], priority }),
          timeout: TIMEOUT,
        }),
      ),
    );

  it('are heeded by a classic queue that has them: the highest first, each in its order, none as 0, more as the most', async () => {
    const queue = fresh('priority');
    await c.transport.declare([{ name: queue, type: 'classic', maxPriority: 5 }]);
    await send(queue, undefined, 1, 5, 0, 9, 1, 3, 5);
    const inbox = new Inbox({ ack: true });
    await eventually(async () => expect((await c.transport.figures(queue)).ready).to.equal(8));
    await c.transport.consume(queue, 1, inbox);
    await eventually(() => inbox.at(7));
    const order = [
      [5, 2],
      [9, 4],
      [5, 7],
      [3, 6],
      [1, 1],
      [1, 5],
      ['none', 0],
      [0, 3],
    ];
    expect(inbox.args).to.deep.equal(order);
  });

  it('put a message that comes back before those of lower ones, in its place among its own', async () => {
    const queue = fresh('priority');
    await c.transport.declare([{ name: queue, type: 'classic', maxPriority: 5 }]);
    await send(queue, 1, 3, 3);
    const pull = await c.transport.pull(queue);
    expect([await pull.next(), await pull.next()]).to.not.include(undefined);
    await pull.close();
    await send(queue, 2);
    await eventually(async () => expect((await c.transport.figures(queue)).ready).to.equal(4));
    const inbox = new Inbox({ ack: true });
    await c.transport.consume(queue, 1, inbox);
    await eventually(() => inbox.at(3));
    expect(inbox.args).to.deep.equal([
      [3, 1],
      [3, 2],
      [2, 0],
      [1, 0],
    ]);
  });

  it('mean nothing to a queue without them', async () => {
    await send(c.queue, 1, 3, 2);
    const inbox = new Inbox({ ack: true });
    await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(2));
    expect(inbox.args).to.deep.equal([
      [1, 0],
      [3, 1],
      [2, 2],
    ]);
  });

  it('are carried by a message that is delayed', async () => {
    const queue = fresh('priority');
    await c.transport.declare([{ name: queue, type: 'classic', maxPriority: 5 }]);
    await c.transport.relay();
    const frame = frameOf({ priority: 4 });
    await c.transport.publish({ queue, frame, due: Date.now() + 1_000, timeout: TIMEOUT });
    const inbox = new Inbox({ ack: true });
    await c.transport.consume(queue, 1, inbox);
    await eventually(() => expect(inbox.at(0).frame.properties.priority).to.equal(4));
  });
}

function delaying(c: Context): void {
  it('delivers at once what is due within a second, with the moment in its head', async () => {
    const due = Date.now() + 900;
    await c.publish([1], due);
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 1, inbox);
    await eventually(() => inbox.at(0), { timeout: 600 });
    expect(inbox.at(0).frame.headers['due']).to.equal(due);
  });

  it('holds the rest until it is due, and delivers in the order of the moments', async () => {
    await c.transport.relay();
    const inbox = new Inbox({ ack: true });
    await c.transport.consume(c.queue, 10, inbox);
    const now = Date.now();
    await Promise.all([c.publish([3700], now + 3700), c.publish([1500], now + 1500), c.publish([2000], now + 2000)]);
    expect((await c.transport.figures(c.queue)).ready).to.equal(0);
    await eventually(() => inbox.at(2), { timeout: 8000 });
    expect(inbox.args).to.deep.equal([[1500], [2000], [3700]]);
    const lateness = inbox.times.map((time, i) => time - Number(inbox.at(i).frame.headers['due']));
    for (const late of lateness) expect(late).to.be.within(0, 1500);
    expect(inbox.at(0).frame.headers['due_queue']).to.equal(undefined);
  });

  it('moves what is due only while somebody relays', async () => {
    await c.publish([1], Date.now() + 1000);
    const inbox = new Inbox();
    const relay = await c.transport.relay();
    await relay.cancel();
    await c.transport.consume(c.queue, 1, inbox);
    const relaying = await c.connected();
    await relaying.relay();
    await eventually(() => inbox.at(0));
    await relaying.close();
  });
}

function pulling(c: Context): void {
  const idOf = (delivery: Delivery | undefined): unknown =>
    delivery && (JSON.parse(delivery.frame.body.toString()) as [unknown[]])[0][0];

  it('takes message by message in their order, and says when there are no more', async () => {
    for (const id of [1, 2]) await c.publish([id]);
    const pull = await c.transport.pull(c.queue);
    expect([idOf(await pull.next()), idOf(await pull.next()), await pull.next()]).to.deep.equal([1, 2, undefined]);
    expect((await c.transport.figures(c.queue)).ready).to.equal(0);
    await pull.close();
  });

  it('puts back what was not settled when it closes, flagged, and what was requeued at once', async () => {
    for (const id of [1, 2, 3]) await c.publish([id]);
    const pull = await c.transport.pull(c.queue);
    const [acked, requeued, open] = [await pull.next(), await pull.next(), await pull.next()];
    expect([acked?.ack(), requeued?.requeue()]).to.deep.equal(['settled', 'settled']);
    expect(requeued?.ack()).to.equal('stale');
    await eventually(async () => expect((await c.transport.figures(c.queue)).ready).to.equal(1));
    await pull.close();
    expect(open?.stale).to.equal(true);
    await eventually(async () => expect((await c.transport.figures(c.queue)).ready).to.equal(2));
    const inbox = new Inbox();
    await c.transport.consume(c.queue, 2, inbox);
    await eventually(() => inbox.at(1));
    expect(inbox.deliveries.map(({ redelivered }) => redelivered)).to.deep.equal([true, true]);
    expect(inbox.deliveries.map(idOf)).to.have.members([2, 3]);
  });

  it('gives back what it has when its transport closes, but for what was acknowledged', async () => {
    for (const id of [1, 2]) await c.publish([id]);
    const other = await c.connected();
    const pull = await other.pull(c.queue);
    (await pull.next())?.ack();
    await pull.next();
    await other.close();
    await eventually(async () => expect((await c.transport.figures(c.queue)).ready).to.equal(1));
    const again = await c.transport.pull(c.queue);
    await c.publish([3]);
    const [last] = [await again.next(), await again.next()];
    last?.ack();
    // Right after the acknowledgement: it must not be given back with the rest.
    await again.close();
    await eventually(async () => expect((await c.transport.figures(c.queue)).ready).to.equal(1));
    expect(await rejection(pull.next())).to.be.instanceOf(BrokerUnavailableError);
  });

  it('knows a queue that is not there', async () => {
    expect(await rejection(c.transport.pull(fresh('nowhere')))).to.be.instanceOf(UnroutableError);
  });
}

function closing(c: Context): void {
  it('flushes the confirms of open publishes, and the acknowledgements before them', async () => {
    const other = await c.connected();
    await Promise.all(Array.from({ length: 200 }, (_, i) => c.publish([i])));
    const inbox = new Inbox();
    await other.consume(c.queue, 100, inbox);
    await eventually(() => inbox.at(99));
    const publishes = Array.from({ length: 500 }, () =>
      other.publish({ queue: deadQueue(c.queue), frame: frameOf(), timeout: TIMEOUT }),
    );
    for (const delivery of inbox.deliveries.slice(0, 100)) delivery.ack();
    await other.close();
    await Promise.all(publishes);
    await eventually(async () => expect((await c.transport.figures(c.queue)).ready).to.equal(100));
    expect((await c.transport.figures(deadQueue(c.queue))).ready).to.equal(500);
  });

  for (const first of ['cancelled before', 'still consuming']) {
    it(`loses no acknowledgement that was made right before, ${first}`, async () => {
      const other = await c.connected();
      await Promise.all(Array.from({ length: 500 }, (_, i) => c.publish([i])));
      const inbox = new Inbox();
      const subscription = await other.consume(c.queue, 500, inbox);
      await eventually(() => inbox.at(499));
      if (first === 'cancelled before') await subscription.cancel();
      for (const delivery of inbox.deliveries) delivery.ack();
      await other.close();
      await c.publish(['last']);
      expect(await c.transport.figures(c.queue)).to.deep.equal({ ready: 1, consumers: 0 });
    });
  }

  it('refuses everything afterwards, and closing twice is fine', async () => {
    await c.transport.close();
    await c.transport.close();
    expect(await rejection(c.publish([1]))).to.be.instanceOf(ClosedError);
    expect(await rejection(c.transport.consume(c.queue, 1, new Inbox()))).to.be.instanceOf(ClosedError);
    expect(await rejection(c.transport.connect(TIMEOUT))).to.be.instanceOf(ClosedError);
  });
}
