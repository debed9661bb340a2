import amqplib from 'amqplib';
import { expect } from 'chai';
import { hostname } from 'node:os';
import { createApp, Task, type App } from '../../../lib/index.js';
import { eventually } from '../../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../../support/servers.js';

const NAMESPACE = uniqueName('node');

interface Ear {
  readonly seen: Record<string, unknown>[];
  /** Whether there is no such queue. */
  missing(queue: string): Promise<boolean>;
  close(): Promise<void>;
}

/** All that is said on `celeryev`, without Celery. */
async function listen(): Promise<Ear> {
  const connection = await amqplib.connect(testAmqpUrl());
  const channel = await connection.createChannel();
  await channel.assertExchange('celeryev', 'topic', { durable: true });
  const { queue } = await channel.assertQueue('', { exclusive: true });
  await channel.bindQueue(queue, 'celeryev', '#');
  const seen: Record<string, unknown>[] = [];
  await channel.consume(
    queue,
    (message) => {
      if (message === null) return;
      const { deliveryMode, contentType, contentEncoding, headers } = message.properties;
      const { routingKey } = message.fields;
      const said = JSON.parse(message.content.toString()) as object | object[];
      for (const event of [said].flat()) {
        seen.push({ ...event, routingKey, deliveryMode, contentType, contentEncoding, from: headers?.['hostname'] });
      }
    },
    { noAck: true },
  );
  return {
    seen,
    missing: async (name) => {
      const once = await connection.createChannel();
      once.on('error', () => {});
      // One that is there is another connection's own (405): either way the channel ends.
      const refused = await once.checkQueue(name).catch((error: { code: number }) => error);
      expect('code' in refused && refused.code).to.be.oneOf([404, 405]);
      return 'code' in refused && refused.code === 404;
    },
    close: () => connection.close(),
  };
}

describe('a worker as a Celery node', () => {
  const name = uniqueName('node');
  const node = `${name}@${hostname()}`;
  const mailbox = `${node}.celery.pidbox`;
  const queue = uniqueName('queue');
  class Sums {
    @Task({ queue }) async add() {}
  }
  const apps: App[] = [];
  afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));

  async function make(broker: string): Promise<App> {
    const locks = broker === 'memory:' ? 'memory:' : testRedisUrl();
    const app = createApp({ broker, locks, services: [Sums], namespace: NAMESPACE });
    apps.push(app);
    await app.connect({ name });
    return app;
  }

  it('is there where it was asked for, and nothing of it elsewhere', async () => {
    const ear = await listen();
    try {
      const app = await make(testAmqpUrl());
      const silent = app.worker();
      await silent.start();
      const { id } = await app.tasks(Sums).add();
      await silent.drained();
      expect(await ear.missing(mailbox)).to.equal(true);
      await silent.stop();
      await app.worker({ taskEvents: true }).start();
      expect(await ear.missing(mailbox)).to.equal(false);
      await eventually(() => expect(ear.seen.some(({ from }) => from === node)).to.equal(true));
      const [first] = ear.seen.filter(({ from }) => from === node);
      expect(first).to.include({ type: 'worker-online', hostname: node, routingKey: 'worker.online', deliveryMode: 1 });
      expect(first).to.include({ contentType: 'application/json', contentEncoding: 'utf-8' });
      expect(ear.seen.some(({ uuid }) => uuid === id)).to.equal(false);
      const second = await app.tasks(Sums).add();
      await eventually(() => {
        const events = ear.seen.filter(({ uuid }) => uuid === second.id || uuid === id);
        expect(events.map(({ type }) => type)).to.include('task-succeeded');
        expect(events.every(({ routingKey, from }) => routingKey === 'task.multi' && from === node)).to.equal(true);
      });
    } finally {
      await ear.close();
    }
  });

  it('has a name of its own, however many workers the app has', async () => {
    const ear = await listen();
    try {
      const app = await make(testAmqpUrl());
      const workers = [app.worker({ taskEvents: true }), app.worker({ taskEvents: true })];
      for (const worker of workers) await worker.start();
      expect(await ear.missing(`${name}-2@${hostname()}.celery.pidbox`)).to.equal(false);
      await Promise.all(workers.map((worker) => worker.stop()));
      await eventually(() => {
        const online = ear.seen.filter(({ type }) => type === 'worker-online').map(({ hostname: who }) => who);
        const offline = ear.seen.filter(({ type }) => type === 'worker-offline').map(({ hostname: who }) => who);
        const both = [node, `${name}-2@${hostname()}`];
        expect(online).to.include.members(both);
        expect(offline).to.include.members(both);
      });
      expect(await ear.missing(mailbox)).to.equal(true);
    } finally {
      await ear.close();
    }
  });

  it('is nobody on memory parts, where nobody could look', async () => {
    const app = await make('memory:');
    const worker = app.worker({ taskEvents: true });
    await worker.start();
    await app.tasks(Sums).add();
    await worker.drained();
    expect(worker.state).to.equal('ready');
  });
});
