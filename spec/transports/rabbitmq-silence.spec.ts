import { expect } from 'chai';
import { type Clock, systemClock } from '../../lib/clock.js';
import { PublishOutcomeUnknownError } from '../../lib/errors.js';
import type { Transport } from '../../lib/transport.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';
import { ANSWER_TIMEOUT } from '../../lib/transports/rabbitmq-channel.js';
import { FrameSieve, type MethodName } from '../support/amqp-frames.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { amqpUrl, frameOf, fresh, Inbox, rabbit, rejection } from '../support/transports.js';

const TIMEOUT = 10_000;
/** ms; a deadline that nobody waits for. */
const LONG = 600_000;
/** ms; a little more than a confirm may take. */
const OVERDUE = 31_000;

describe('a RabbitMQ that leaves something without an answer', () => {
  const namespace = fresh('ns');
  /** The method whose frames do not arrive, and on which channels that was so. */
  let swallowed: MethodName | undefined;
  let channels: number[];
  /** What was heard. */
  let heard: MethodName[];
  /** Waits for answers, whose time is up when the spec says so. */
  let patience: Set<() => void>;
  let skipped: number;
  let proxy: TcpProxy;
  let transport: Transport;
  let plain: Transport;
  let queue: string;

  const clock: Clock = {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + skipped,
    after(ms, fire, options) {
      if (ms !== ANSWER_TIMEOUT) return systemClock.after(ms, fire, options);
      patience.add(fire);
      return { cancel: () => patience.delete(fire) };
    },
  };
  const publish = (timeout = LONG): Promise<void> => transport.publish({ queue, frame: frameOf(), timeout });
  const lastPatience = (): void => patience.forEach((fire) => fire());
  /** Resolves when the frame is on its way to nowhere. */
  const isSwallowed = async (times = 1): Promise<void> => {
    await eventually(() => expect(channels).to.have.lengthOf(times), { timeout: TIMEOUT });
  };

  beforeEach(async () => {
    [swallowed, channels, heard, patience, skipped] = [undefined, [], [], new Set(), 0];
    const sieve = (): FrameSieve =>
      new FrameSieve((name, channel) => {
        if (name === swallowed) channels.push(channel);
        else heard.push(name);
        return name === swallowed;
      });
    const listen = (): ((chunk: Buffer) => Buffer) => {
      const own = sieve();
      return (chunk) => own.pass(chunk);
    };
    proxy = await startProxy(amqpUrl(), undefined, listen);
    transport = createRabbitTransport({ url: proxy.url, namespace, clock, connectionName: 'spec' });
    plain = rabbit(namespace);
    queue = fresh('work');
    await transport.connect(TIMEOUT);
    await plain.connect(TIMEOUT);
    await transport.declare([{ name: queue, type: 'classic' }]);
  });
  afterEach(async () => {
    swallowed = undefined;
    await Promise.all([transport.close(), plain.close()]);
    await proxy.close();
  });

  it('is asked again for a consumer, on another channel; there is one consumer then, and it gets messages', async () => {
    const inbox = new Inbox({ ack: true });
    swallowed = 'basic.consume-ok';
    const consuming = transport.consume(queue, 1, inbox);
    await isSwallowed();
    swallowed = undefined;
    lastPatience();
    await consuming;
    await eventually(async () => expect((await plain.figures(queue)).consumers).to.equal(1), { timeout: TIMEOUT });
    await publish();
    await eventually(() => inbox.at(0), { timeout: TIMEOUT });
  });

  it('is asked again for a consumer that was lost', async () => {
    const inbox = new Inbox({ ack: true });
    await transport.consume(queue, 1, inbox);
    swallowed = 'basic.consume-ok';
    proxy.cut();
    await isSwallowed();
    lastPatience();
    await isSwallowed(2);
    swallowed = undefined;
    lastPatience();
    await publish();
    await eventually(() => inbox.at(0), { timeout: TIMEOUT });
  });

  it('is asked again for a queue and for its figures', async () => {
    for (const ask of [() => transport.declare([{ name: fresh('work') }]), () => transport.figures(queue)]) {
      channels = [];
      swallowed = 'queue.declare-ok';
      const asked = ask();
      await isSwallowed();
      swallowed = undefined;
      lastPatience();
      await asked;
    }
  });

  it('is asked for another channel; one that comes late is closed', async () => {
    heard = [];
    proxy.hold();
    const asked = transport.figures(queue);
    await eventually(() => expect(patience.size).to.equal(1));
    lastPatience();
    await eventually(() => expect(patience.size).to.equal(1));
    const times = (name: MethodName): number => heard.filter((each) => each === name).length;
    await eventually(
      () => {
        proxy.deliver();
        expect([times('channel.open-ok'), times('channel.close-ok')]).to.deep.equal([2, 2]);
      },
      { timeout: TIMEOUT },
    );
    expect(await asked).to.include({ ready: 0 });
  });

  it('gets again what it has not confirmed, with the same id, on another channel', async () => {
    swallowed = 'basic.ack';
    const outcome = Promise.all([publish(), publish()]);
    await eventually(async () => expect((await plain.figures(queue)).ready).to.equal(2), { timeout: TIMEOUT });
    await eventually(() => expect(channels).not.to.deep.equal([]), { timeout: TIMEOUT });
    swallowed = undefined;
    skipped += OVERDUE;
    await outcome;
    const inbox = new Inbox();
    await plain.consume(queue, 10, inbox);
    await eventually(() => inbox.at(3), { timeout: TIMEOUT });
    const ids = inbox.deliveries.map(({ frame }) => frame.properties.messageId);
    const copies = inbox.deliveries.map(({ frame }) => frame.headers['copy']);
    expect([new Set(ids).size, new Set(copies).size, inbox.deliveries.length]).to.deep.equal([2, 4, 4]);
  });

  it('loses its channel also when every publish has given up before', async () => {
    swallowed = 'basic.ack';
    expect(await rejection(publish(500))).to.be.instanceOf(PublishOutcomeUnknownError);
    skipped += OVERDUE;
    const last = publish();
    await isSwallowed(2);
    swallowed = undefined;
    // It is not overdue itself: on its own channel it would wait in vain.
    await last;
  });

  it('keeps its channel when the event loop stood still, and confirms are there to be read', async () => {
    const outcome = plain.publish({ queue, frame: frameOf(), timeout: 1_000 });
    // The driver writes a turn of the loop later.
    for (let turn = 0; turn < 3; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    const until = performance.now() + 3_000;
    while (performance.now() < until);
    await outcome;
  });
});
