import amqplib from 'amqplib';
import { expect } from 'chai';
import { createApp, Task, type App } from 'solotask';
import { eventually } from './support/eventually.js';
import { Gate } from './support/gate.js';
import { startRedis, testAmqpUrl, testRedisUrl, uniqueName } from './support/servers.js';
import { onEveryStage } from './support/stage.js';

const HEALTHY = { ready: true, reasons: [] };

const declare = (queue: string) => {
  class Loans {
    @Task({ queue, unique: 'loan:<loanId>' })
    async recompute(loanId: number) {
      return loanId;
    }
  }
  return Loans;
};

/** Waits until there is one reason, which reads so. */
const ill = (app: App, reason: RegExp): Promise<void> =>
  eventually(() => {
    const { ready, reasons } = app.health();
    expect(ready).to.equal(false);
    expect(reasons.join('; ')).to.match(reason);
  });
const well = (app: App): Promise<unknown> =>
  eventually(() => expect(app.health()).to.deep.equal(HEALTHY), { timeout: 15_000 });

onEveryStage('the health of an app', (stage) => {
  it('is good from the connection to the close, and says why before and after', async () => {
    const app = stage.app([declare(stage.queue)]);
    expect(app.health()).to.deep.equal({
      ready: false,
      reasons: ['the app is not connected yet: connect() or the first use does it'],
    });
    const connecting = app.connect();
    expect(app.health().reasons).to.deep.equal(['the app is connecting to RabbitMQ and Redis']);
    await connecting;
    expect(app.health()).to.deep.equal(HEALTHY);
    await app.close();
    expect(app.health()).to.deep.equal({ ready: false, reasons: ['the app is closed'] });
  });

  it('is that of its workers: starting, at work, draining', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue })
      async recompute() {
        await gate.pass();
      }
    }
    const app = stage.app([Loans]);
    await app.connect();
    const worker = app.worker();
    expect(worker.state).to.equal('new');
    const starting = worker.start();
    expect(worker.state).to.equal('starting');
    expect(app.health().reasons).to.deep.equal(['a worker is starting']);
    await starting;
    expect(worker.state).to.equal('ready');
    expect(app.health()).to.deep.equal(HEALTHY);
    await app.tasks(Loans).recompute();
    await eventually(() => expect(gate.arrivals).to.be.above(0));
    const stopping = worker.stop();
    await eventually(() => expect(worker.state).to.equal('draining'));
    expect(app.health().reasons).to.deep.equal(['a worker is stopping and takes no more work']);
    gate.open();
    await stopping;
    expect(worker.state).to.equal('stopped');
  });

  it('is bad while the broker is away, and good once the consumers are attached again', async () => {
    const app = stage.app([declare(stage.queue)]);
    const worker = app.worker();
    await worker.start();
    stage.stopBroker();
    await ill(app, /^RabbitMQ is disconnected, and is being connected to again \(publish, consume\): ./);
    stage.startBroker();
    await well(app);
    expect(worker.state).to.equal('ready');
  });
});

describe('the health of an app on real servers', () => {
  it('is bad while its Redis is away, from the start on if need be', async () => {
    const redis = await startRedis();
    const options = { broker: 'memory:', locks: redis.url };
    class Loans {
      @Task({ unique: { key: 'loan:<loanId>', onLockError: 'publish' } })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    await using early = createApp({ ...options, services: [Loans] });
    await using late = createApp({ ...options, services: [Loans] });
    try {
      await early.connect();
      expect(early.health()).to.deep.equal(HEALTHY);
      await redis.kill('SIGKILL');
      await ill(early, /^Redis is not available: .*cannot be reached/);
      expect(await late.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
      await ill(late, /^Redis is not available/);
      await redis.restart();
      await well(early);
      await well(late);
    } finally {
      await redis.stop();
    }
  });

  it('is bad while a consumer is lost, though the connection is not', async () => {
    const queue = uniqueName('work');
    const links = { broker: testAmqpUrl(), locks: testRedisUrl() };
    await using app = createApp({ ...links, services: [declare(queue)], namespace: uniqueName('ns') });
    await app.worker().start();
    const connection = await amqplib.connect(testAmqpUrl());
    try {
      const channel = await connection.createChannel();
      await channel.deleteQueue(queue);
      await ill(app, /^a worker has lost a consumer, and is attaching it again$/);
      await well(app);
      await channel.deleteQueue(queue);
    } finally {
      await connection.close();
    }
  });
});
