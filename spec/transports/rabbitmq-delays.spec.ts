import { type Channel, connect } from 'amqplib';
import { expect } from 'chai';
import fc from 'fast-check';
import { type Clock, systemClock } from '../../lib/clock.js';
import type { Delivery, Transport } from '../../lib/transport.js';
import { Relay } from '../../lib/transports/rabbitmq-relay.js';
import { RUNGS, rungFor } from '../../lib/transports/rabbitmq-topology.js';
import { eventually } from '../support/eventually.js';
import { amqpUrl, frameOf, fresh, Inbox, rabbit } from '../support/transports.js';

const SECOND = 1_000;
const DAY = 24 * 60 * 60 * SECOND;
const TIMEOUT = 10_000;

/** The rungs that a delay goes through when each hop is late by `lateness` ms, and what is left for the worker to wait. */
function hops(delay: number, lateness: number): { rungs: number[]; rest: number } {
  const rungs: number[] = [];
  let rest = delay;
  for (let rung = rungFor(rest); rung !== undefined; rung = rungFor(rest)) {
    rungs.push(rung);
    rest -= rung + lateness;
  }
  return { rungs, rest };
}

describe('a delay', () => {
  it('of ten seconds to ten days takes few rungs, and none that overshoots', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10 * SECOND, max: 10 * DAY }),
        fc.integer({ min: 0, max: 65 }),
        (delay, lateness) => {
          const { rungs, rest } = hops(delay, lateness);
          const held = rungs.reduce((sum, rung) => sum + rung, 0);
          expect(held).to.be.at.most(delay);
          expect(rest).to.be.below(SECOND);
          expect(rest).to.be.above(-lateness - 1);
          // Ten days are ten of 24 hours; below, each rung is taken once or twice.
          expect(rungs.length).to.be.at.most(10 + 2 * (RUNGS.length - 1));
        },
      ),
    );
  });

  it('is known to the millisecond at its edges', () => {
    expect([999, 1_000, 1_999, 2_000, 10 * DAY].map(rungFor)).to.deep.equal([undefined, 1_000, 1_000, 2_000, DAY]);
    expect(hops(10 * DAY, 0)).to.deep.equal({ rungs: Array(10).fill(DAY), rest: 0 });
    expect(hops(12_600, 20)).to.deep.equal({ rungs: [10_000, 2_000], rest: 560 });
  });

  it('of ten days, by a clock that runs ahead, ends at its moment after as many hops', async () => {
    const start = Date.now();
    const due = start + 10.5 * DAY + 1_500;
    let now = start;
    const clock: Clock = {
      ...systemClock,
      now: () => now,
      after: (ms, fire) => ((now += ms), systemClock.after(0, fire)),
    };
    const taken: (number | undefined)[] = [];
    const relay = new Relay({
      clock,
      queue: 'due',
      expired() {},
      // What the broker does: it holds the message for as long as the rung says, and a moment longer.
      publish: async (outgoing) => {
        expect([outgoing.queue, outgoing.due]).to.deep.equal(['work', due]);
        const rung = rungFor(due - now);
        taken.push(rung);
        now += rung === undefined ? 0 : rung + 3;
        if (rung !== undefined) queueMicrotask(() => relay.deliver(delivery));
      },
    });
    const delivery: Delivery = {
      queue: 'due',
      frame: { ...frameOf(), headers: { due, due_queue: 'work' } },
      redelivered: false,
      stale: false,
      ack: () => 'settled',
      requeue: () => 'settled',
      flushed: async () => {},
    };
    relay.deliver(delivery);
    await eventually(() => expect(taken.at(-1)).to.equal(undefined));
    expect(now).to.be.within(due, due + 10);
    expect(taken).to.deep.equal([...Array(10).fill(DAY), DAY / 2, 1_000, undefined]);
  });
});

describe('a delay on RabbitMQ', () => {
  const namespace = fresh('ns');
  let transport: Transport;
  let queue: string;
  let inbox: Inbox;

  beforeEach(async () => {
    transport = rabbit(namespace);
    queue = fresh('work');
    await transport.connect(TIMEOUT);
    await transport.declare([{ name: queue }]);
    await transport.relay();
    inbox = new Inbox({ ack: true });
    await transport.consume(queue, 5, inbox);
  });
  afterEach(() => transport.close());

  it('of more than ten seconds takes two rungs and a wait, and ends at its moment', async () => {
    const due = Date.now() + 12_600;
    await transport.publish({ queue, frame: frameOf(), due, timeout: TIMEOUT });
    await eventually(() => inbox.at(0), { timeout: 18_000 });
    expect(inbox.times[0]).to.be.within(due, due + 2_000);
  });

  it('takes one rung time and again: the broker sees no cycle, whatever a message brings', async () => {
    const death = { reason: 'expired', count: 1, exchange: '', 'routing-keys': [''] };
    const queues = [`${namespace}.v1.due`, `${namespace}.v1.delay.1000`, queue];
    const forged = { ...frameOf().headers, 'x-death': queues.map((name) => ({ ...death, queue: name })) };
    let frame = { ...frameOf(), headers: forged as Record<string, unknown> };
    for (let round = 0; round < 3; round += 1) {
      await transport.publish({ queue, frame, due: Date.now() + 1_050, timeout: TIMEOUT });
      await eventually(() => inbox.at(round));
      // As it came, with all that the broker has written into it.
      frame = { ...inbox.at(round).frame, headers: { ...inbox.at(round).frame.headers } };
    }
    expect(Object.keys(inbox.at(2).frame.headers).filter((name) => name.startsWith('x-'))).to.deep.equal([]);
  });

  it('has no effect on the queue that it goes to: a classic one without arguments gets its message too', async () => {
    const bare = fresh('bare');
    await onRawChannel((channel) => channel.assertQueue(bare, { durable: true }));
    await transport.publish({ queue: bare, frame: frameOf(), due: Date.now() + 1_050, timeout: TIMEOUT });
    await eventually(async () => expect((await transport.figures(bare)).ready).to.equal(1));
  });
});

async function onRawChannel(run: (channel: Channel) => Promise<unknown>): Promise<void> {
  const connection = await connect(amqpUrl());
  await run(await connection.createChannel());
  await connection.close();
}
