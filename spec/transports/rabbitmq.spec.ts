import { fileURLToPath } from 'node:url';
import { type Channel, connect } from 'amqplib';
import { expect } from 'chai';
import {
  AccessRefusedError,
  BrokerUnavailableError,
  ConfigError,
  PublishRefusedError,
  QueueMismatchError,
  type TaskError,
} from '../../lib/errors.js';
import { deadQueue, type Transport } from '../../lib/transport.js';
import { Child } from '../support/child.js';
import { eventually } from '../support/eventually.js';
import { amqpUrl, frameOf, fresh, Inbox, rabbit, rejection } from '../support/transports.js';

const TIMEOUT = 10_000;

describe('a RabbitMQ transport', () => {
  const namespace = fresh('ns');
  let transport: Transport;
  let queue: string;

  beforeEach(async () => {
    transport = rabbit(namespace);
    queue = fresh('work');
    await transport.connect(TIMEOUT);
    await transport.declare([{ name: queue }]);
  });
  afterEach(() => transport.close());

  it('names queue, argument and both values when a queue exists with other arguments', async () => {
    await onRawChannel((channel) => channel.assertQueue(`${queue}x`, { durable: true, maxPriority: 3 }));
    const declared = transport.declare([{ name: `${queue}x`, type: 'classic', maxPriority: 5 }]);
    const error = (await rejection(declared)) as TaskError;
    expect(error).to.be.instanceOf(QueueMismatchError);
    expect(error.message).to.contain(`${queue}x`);
    expect(error.data).to.have.all.keys('queue', 'argument', 'wanted', 'found');
  });

  it('goes on working after a declaration was refused', async () => {
    const inbox = new Inbox({ ack: true });
    await transport.consume(queue, 1, inbox);
    const mismatch = transport.declare([{ name: queue, type: 'classic' }]);
    const publish = transport.publish({ queue, frame: frameOf(), timeout: TIMEOUT });
    expect(await rejection(mismatch)).to.be.instanceOf(QueueMismatchError);
    await publish;
    await eventually(() => inbox.at(0));
    expect(inbox.losses).to.equal(0);
  });

  it('uses a queue of somebody else as it is, and says when there is none', async () => {
    expect(await rejection(transport.declare([{ name: `${queue}y`, passive: true }]))).to.be.instanceOf(ConfigError);
    await onRawChannel((channel) =>
      channel.assertQueue(`${queue}y`, { durable: false, arguments: { 'x-max-length': 9 } }),
    );
    await transport.declare([{ name: `${queue}y`, passive: true }]);
    await transport.publish({ queue: `${queue}y`, frame: frameOf(), timeout: TIMEOUT });
  });

  it('keeps what the broker drops: at least once, in the dead letters', async () => {
    const classic = `${queue}c`;
    await transport.declare([{ name: classic, type: 'classic' }]);
    for (const name of [queue, classic]) {
      await transport.publish({ queue: name, frame: frameOf(), timeout: TIMEOUT });
      await onRawChannel(async (channel) => {
        const message = await channel.get(name);
        if (message !== false) channel.reject(message, false);
      });
      await eventually(async () => expect((await transport.figures(deadQueue(name))).ready).to.equal(1));
    }
  });

  it('declares every delay queue when it connects', async () => {
    const minutes = [60, 120, 300, 600, 900, 1800].map((seconds) => `${namespace}.v1.delay.${seconds * 1000}`);
    for (const name of [...minutes, `${namespace}.v1.due`, `${namespace}.v1.due.dead`]) {
      expect((await transport.figures(name)).ready).to.equal(0);
    }
    await transport.publish({ queue, frame: frameOf(), due: Date.now() + 3_500_000, timeout: TIMEOUT });
    await eventually(async () => expect((await transport.figures(`${namespace}.v1.delay.1800000`)).ready).to.equal(1));
  });

  for (const type of ['quorum', 'classic'] as const) {
    it(`has acknowledged what was flushed when the process dies in the same turn, ${type}`, async () => {
      const [name, count] = [`${queue}${type}`, 20];
      await transport.declare([{ name, type }]);
      const sent = Array.from({ length: count }, () =>
        transport.publish({ queue: name, frame: frameOf(), timeout: TIMEOUT }),
      );
      await Promise.all(sent);
      const env = { QUEUE: name, NAMESPACE: namespace, COUNT: String(count) };
      const child = new Child(fileURLToPath(new URL('./fixtures/dying-consumer.js', import.meta.url)), env);
      expect(await child.gone()).to.have.property('signal', 'SIGKILL');
      await eventually(async () => expect((await transport.figures(name)).consumers).to.equal(0));
      expect((await transport.figures(name)).ready).to.equal(0);
    });
  }

  it('puts a due message that no queue takes into the dead letters of the due queue', async () => {
    await transport.relay();
    const nowhere = fresh('nowhere');
    await transport.publish({ queue: nowhere, frame: frameOf(), due: Date.now() + 1050, timeout: TIMEOUT });
    const dead = deadQueue(`${namespace}.v1.due`);
    await eventually(async () => expect((await transport.figures(dead)).ready).to.equal(1));
    const inbox = new Inbox();
    await transport.consume(dead, 1, inbox);
    await eventually(() => inbox.at(0));
    expect(inbox.at(0).frame.headers).to.include({ dead_code: 'UNROUTABLE', dead_queue: nowhere });
  });

  it('refuses what the driver cannot encode, and publishes the rest', async () => {
    const huge = frameOf({ headers: { huge: 'x'.repeat(70_000) } });
    const refused = transport.publish({ queue, frame: huge, timeout: TIMEOUT });
    const fine = transport.publish({ queue, frame: frameOf(), timeout: TIMEOUT });
    expect(await rejection(refused)).to.be.instanceOf(PublishRefusedError);
    await fine;
  });

  describe('a queue that is full', () => {
    const full = async (): Promise<string> => {
      const name = fresh('full');
      const args = { 'x-queue-type': 'quorum', 'x-max-length': 1, 'x-overflow': 'reject-publish' };
      await onRawChannel((channel) => channel.assertQueue(name, { durable: true, arguments: args }));
      // A quorum queue notices its limit late: it takes one or two more.
      for (;;) {
        const error = await transport.publish({ queue: name, frame: frameOf(), timeout: 1_000 }).then(
          () => undefined,
          (refused: unknown) => refused,
        );
        if (error === undefined) continue;
        expect(error).to.be.instanceOf(PublishRefusedError);
        return name;
      }
    };

    it('refuses a message in the end, and other queues get theirs meanwhile', async () => {
      const name = await full();
      let over = false;
      const refused = rejection(transport.publish({ queue: name, frame: frameOf(), timeout: 2_000 })).finally(() => {
        over = true;
      });
      await transport.publish({ queue, frame: frameOf(), timeout: TIMEOUT });
      expect(over).to.equal(false);
      expect(await refused).to.be.instanceOf(PublishRefusedError);
    });

    it('gets a message that it refused at first, once it takes some again', async () => {
      const name = await full();
      const published = transport.publish({ queue: name, frame: frameOf(), timeout: TIMEOUT });
      await onRawChannel((channel) => channel.purgeQueue(name));
      await published;
      expect((await transport.figures(name)).ready).to.equal(1);
    });
  });

  it('survives a consumer that the broker cancels, and finds its queue again', async () => {
    const inbox = new Inbox({ ack: true });
    await transport.consume(queue, 1, inbox);
    await onRawChannel((channel) => channel.deleteQueue(queue));
    await eventually(() => expect(inbox.losses).to.equal(1));
    await eventually(async () => expect((await transport.figures(queue)).consumers).to.equal(1));
    await transport.publish({ queue, frame: frameOf(), timeout: TIMEOUT });
    await eventually(() => inbox.at(0));
  });

  it('finds its delay queues again when somebody deleted an exchange, and neighbours of that publish get through', async () => {
    await onRawChannel((channel) => channel.deleteExchange(`${namespace}.v1.delay.1000`));
    const delayed = transport.publish({ queue, frame: frameOf(), due: Date.now() + 1500, timeout: TIMEOUT });
    const neighbours = Array.from({ length: 20 }, () =>
      transport.publish({ queue, frame: frameOf(), timeout: TIMEOUT }),
    );
    await Promise.all([delayed, ...neighbours]);
    expect((await transport.figures(queue)).ready).to.be.at.least(20);
  });

  it('publishes more at once than its window takes', async () => {
    const body = { args: ['x'.repeat(20_000)] };
    const publishes = Array.from({ length: 2500 }, () =>
      transport.publish({ queue, frame: frameOf(body), timeout: TIMEOUT }),
    );
    await Promise.all(publishes);
    expect((await transport.figures(queue)).ready).to.equal(2500);
  });
});

// F3
describe('a RabbitMQ transport that cannot connect', () => {
  const failure = async (change: (url: URL) => void): Promise<TaskError> => {
    const url = new URL(amqpUrl());
    change(url);
    const transport = rabbit(fresh('ns'), url.href);
    const error = await rejection(transport.connect(1000));
    expect(await rejection(transport.publish({ queue: 'q', frame: frameOf(), timeout: 200 }))).to.have.property('code');
    await transport.close();
    return error as TaskError;
  };

  it('says at once that the login is refused, and hides the password', async () => {
    const error = await failure((url) => {
      url.username = 'guest';
      url.password = 'hunter2';
    });
    expect(error).to.be.instanceOf(AccessRefusedError);
    expect(error.message).to.contain('guest:***@').and.not.contain('hunter2');
    expect(JSON.stringify(error.data)).to.not.contain('hunter2');
  });

  it('names the virtual host that is not there', async () => {
    const error = await failure((url) => (url.pathname = '/nowhere'));
    expect(error).to.be.instanceOf(AccessRefusedError);
    expect(error.message).to.contain("'nowhere'");
  });

  it('says after the timeout that nobody answers', async () => {
    const error = await failure((url) => (url.port = '1'));
    expect(error).to.be.instanceOf(BrokerUnavailableError);
    expect(error.message).to.contain('ECONNREFUSED').and.contain('1000 ms');
  });

  it('refuses an address that is none, without repeating it', () => {
    for (const url of ['http://user:hunter2@host', 'nonsense hunter2', 'amqp://host?heartbeat=0']) {
      expect(() => rabbit('ns', url))
        .to.throw(ConfigError)
        .with.property('message')
        .that.does.not.contain('hunter2');
    }
  });
});

async function onRawChannel(run: (channel: Channel) => Promise<unknown>): Promise<void> {
  const connection = await connect(amqpUrl());
  const channel = await connection.createChannel();
  await run(channel);
  await channel.close();
  await connection.close();
}
