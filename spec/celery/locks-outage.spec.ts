import amqplib from 'amqplib';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { CeleryPeer, CeleryWorker } from '../support/celery.js';
import { eventually } from '../support/eventually.js';
import { startRedis, testAmqpUrl, uniqueName } from '../support/servers.js';

describe("Python's side of the lock space while Redis is away", () => {
  it('publishes nothing, runs nothing, and goes on when it is back', async () => {
    const server = await startRedis();
    const queue = uniqueName('queue');
    const env = { SPEC_NAMESPACE: 'outage', SPEC_MODULE: 'unique_tasks' };
    const options = { queue, redis: server.url, module: 'unique_tasks', env };
    const peer = new CeleryPeer(options);
    let worker: CeleryWorker | undefined;
    const book = new Redis(server.url, { lazyConnect: true, retryStrategy: () => 100 });
    book.on('error', () => {});
    const broker = await amqplib.connect(testAmqpUrl());
    const channel = await broker.createChannel();
    try {
      await peer.ask('declare', { queue });
      await peer.ask('enqueue', { task: 'loans.discard', args: [1] });
      await server.kill();
      const refused = await peer.ask('enqueue', { task: 'loans.discard', args: [2] }).catch((error: unknown) => error);
      expect(refused).to.have.property('type', 'LockUnavailable');
      expect((await channel.checkQueue(queue)).messageCount).to.equal(1);

      const late = (worker = new CeleryWorker({ ...options, args: ['-P', 'threads', '-c', '2'] }));
      await late.ready();
      await eventually(() => expect(late.log).to.include('goes back: Redis gives no answer'), { timeout: 15_000 });
      await server.restart();
      await book.connect().catch(() => {});
      await book.rpush(`spec:${queue}:gate:1`, 'go');
      await eventually(
        async () => {
          const told = await book.lrange(`spec:${queue}:told`, 0, -1);
          expect(told.map((line) => (JSON.parse(line) as { event: string }).event)).to.deep.equal(['begin', 'end']);
        },
        { timeout: 15_000 },
      );
    } finally {
      await worker?.end();
      await peer.close();
      book.disconnect();
      await broker.close();
      await server.stop();
    }
  }).timeout(60_000);
});
