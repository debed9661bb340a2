import amqplib from 'amqplib';
import { expect } from 'chai';
import { createApp, Task, taskContext, type App } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';

const LEASE = 1_000;

describe('a message whose confirm was lost', () => {
  let proxy: TcpProxy;
  const apps: App[] = [];
  beforeEach(async () => {
    proxy = await startProxy(testAmqpUrl());
  });
  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await proxy.close();
  });

  // D10
  it('is there twice, and when both copies were returned once, neither stops the healthy run of the other', async () => {
    const queue = uniqueName('queue');
    const namespace = uniqueName('ns');
    const gate = new Gate();
    let aborted = 0;
    class Loans {
      @Task({ queue, unique: { key: 'loan:<loanId>', lease: LEASE } })
      async recompute(loanId: number) {
        const { signal } = taskContext();
        signal.addEventListener('abort', () => aborted++);
        await gate.pass();
        return loanId;
      }
    }
    const start = (broker: string): App => {
      const app = createApp({ broker, locks: testRedisUrl(), namespace, services: [Loans] });
      apps.push(app);
      return app;
    };
    const connection = await amqplib.connect(testAmqpUrl());
    const channel = await connection.createChannel();
    const ready = async (): Promise<number> => (await channel.checkQueue(queue)).messageCount;

    const producer = start(proxy.url);
    await producer.connect();
    proxy.mute();
    const receipt = producer.tasks(Loans).recompute(1);
    await eventually(async () => expect(await ready()).to.equal(1));
    proxy.cut();
    expect(await receipt).to.include({ status: 'enqueued' });
    await eventually(async () => expect(await ready()).to.equal(2));

    const copies = [await channel.get(queue), await channel.get(queue)].map((message) => {
      if (message === false) throw new Error('no message');
      channel.nack(message, false, true);
      return message.properties;
    });
    expect(new Set(copies.map(({ messageId }) => String(messageId))).size).to.equal(1);
    expect(new Set(copies.map(({ headers }) => String(headers?.['copy']))).size).to.equal(2);
    await eventually(async () => expect(await ready()).to.equal(2));

    const started: boolean[] = [];
    const ended: boolean[] = [];
    let failed = 0;
    for (const app of [start(testAmqpUrl()), start(testAmqpUrl())]) {
      app.on('task:started', ({ redelivered }) => started.push(redelivered));
      app.on('task:succeeded', ({ recovered }) => ended.push(recovered));
      app.on('task:failed', () => failed++);
      await app.worker({ concurrency: 1, prefetch: 1 }).start();
    }
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await eventually(async () => expect(await ready()).to.equal(0));
    // Copies that stopped each other would have done so within a lease.
    const later = performance.now() + 2 * LEASE;
    await eventually(() => expect(performance.now()).to.be.above(later));
    gate.open();
    // The other copy comes back from the delay queues and finds it done.
    await eventually(() => expect(ended).to.have.members([false, true]), { timeout: 10_000 });
    expect({ started, aborted, failed }).to.deep.equal({ started: [true], aborted: 0, failed: 0 });
    await connection.close();
  });
});
