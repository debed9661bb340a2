import amqplib from 'amqplib';
import { expect } from 'chai';
import { AccessRefusedError } from '../../lib/errors.js';
import type { Frame } from '../../lib/message.js';
import type { Sideline, SidelineOptions, Transport } from '../../lib/transport.js';
import { eventually } from '../support/eventually.js';
import { type RabbitServer, startRabbit } from '../support/servers.js';
import { fresh, rabbit, rejection } from '../support/transports.js';

const TIMEOUT = 10_000;
const NOTICES = { name: 'notices', type: 'topic', durable: true } as const;
const CALLS = { name: 'calls', type: 'fanout', durable: false } as const;
const HELLO = { exchange: 'notices', routingKey: 'hello', headers: { from: 'here' }, body: Buffer.from('{}') };

describe('a sideline of a RabbitMQ transport', () => {
  let server: RabbitServer;
  const namespace = fresh('ns');
  const transports: Transport[] = [];
  before(async () => {
    server = await startRabbit();
  });
  afterEach(() => Promise.all(transports.splice(0).map((transport) => transport.close())));
  after(() => server.stop());

  async function connected(url = server.url): Promise<Transport> {
    const transport = rabbit(namespace, url);
    transports.push(transport);
    await transport.connect(TIMEOUT);
    return transport;
  }

  /** Opened, and what came in. */
  async function open(transport: Transport, more: Partial<SidelineOptions> & { queue?: string } = {}) {
    const heard: Frame[] = [];
    const deliver = (frame: Frame): void => void heard.push(frame);
    const { queue = fresh('mailbox'), ...options } = more;
    const mailbox = { queue, exchange: CALLS, ttl: 60_000, deliver };
    const sideline = await transport.sideline?.({ exchanges: [NOTICES, CALLS], mailbox, ready() {}, ...options });
    return { sideline: sideline as Sideline, heard };
  }

  async function raw<T>(use: (channel: amqplib.Channel) => Promise<T>): Promise<T> {
    const connection = await amqplib.connect(server.url);
    try {
      const channel = await connection.createChannel();
      channel.on('error', () => {});
      return await use(channel);
    } finally {
      await connection.close();
    }
  }

  it('carries notices to whoever listens, and what comes through the exchange to its mailbox', async () => {
    const { sideline } = await open(await connected());
    const other = await open(await connected());
    expect(sideline.writable).to.equal(true);
    sideline.send({ ...HELLO, exchange: 'calls' });
    await eventually(() => expect(other.heard).to.have.length(1));
    const [frame] = other.heard;
    expect(frame?.properties).to.deep.include({ contentType: 'application/json', contentEncoding: 'utf-8' });
    expect(frame).to.deep.include({ headers: { from: 'here' }, body: Buffer.from('{}') });
  });

  it('leaves its mailbox to the next one of that name as it closes', async () => {
    const queue = fresh('mailbox');
    const [first, second] = [await open(await connected(), { queue }), await open(await connected(), { queue })];
    second.sideline.send({ ...HELLO, exchange: 'calls' });
    await eventually(() => expect(first.heard).to.have.length(1));
    expect(second.heard).to.have.length(0);
    await first.sideline.close();
    expect(first.sideline.writable).to.equal(false);
    first.sideline.send(HELLO);
    await eventually(
      () => {
        second.sideline.send({ ...HELLO, exchange: 'calls' });
        expect(second.heard).not.to.have.length(0);
      },
      { timeout: 15_000 },
    );
  });

  it('uses an exchange as it is when it was declared otherwise', async () => {
    await raw((channel) => channel.assertExchange('notices-too', 'fanout', { durable: false }));
    const exchanges = [NOTICES, { ...NOTICES, name: 'notices-too' }];
    const { sideline } = await open(await connected(), { exchanges });
    expect(sideline.writable).to.equal(true);
  });

  it('opens a channel anew that the broker has closed under it', async () => {
    let ready = 0;
    const { sideline } = await open(await connected(), { ready: () => void ready++ });
    expect(ready).to.equal(1);
    sideline.send({ ...HELLO, exchange: 'nowhere' });
    await eventually(() => expect(ready).to.equal(2));
    expect(sideline.writable).to.equal(true);
  });

  it('is not writable while the broker blocks who publishes, and is again afterwards', async () => {
    const transport = await connected();
    const { sideline } = await open(transport);
    await server.ctl('set_vm_memory_high_watermark', 'absolute', '1');
    await eventually(() => {
      sideline.send(HELLO);
      expect(sideline.writable).to.equal(false);
      expect(transport.health().publish).to.equal('blocked');
    });
    sideline.send(HELLO);
    await server.ctl('set_vm_memory_high_watermark', '0.6');
    await eventually(() => expect(sideline.writable).to.equal(true), { timeout: 15_000 });
  });

  it('is refused to a user who may not, in words', async () => {
    await server.ctl('add_user', 'worker', 'secret');
    const rights = String.raw`^(${namespace}\.v1\..*|amq\.default)$`;
    await server.ctl('set_permissions', 'worker', rights, rights, rights);
    const url = new URL(server.url);
    [url.username, url.password] = ['worker', 'secret'];
    const transport = await connected(url.href);
    const error = await rejection(open(transport));
    expect(error).to.be.instanceOf(AccessRefusedError);
    expect(error.message).to.include('this user may not use').and.include('notices');
    const more = String.raw`^(${namespace}\.v1\..*|amq\.default|notices|calls|mailbox.*)$`;
    await server.ctl('set_permissions', 'worker', more, more, more);
    await eventually(async () => expect((await open(transport)).sideline.writable).to.equal(true));
  });
});
