import amqplib, { type Channel, type ChannelModel } from 'amqplib';
import { expect } from 'chai';
import { createApp, Task, type App, type AppOptions } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { thrownBy } from '../support/declare.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

describe("a queue that is somebody else's, on RabbitMQ", () => {
  const namespace = uniqueName('ns');
  let links: Pick<AppOptions, 'broker' | 'locks' | 'namespace'>;
  let connection: ChannelModel;
  let channel: Channel;
  let queue: string;

  before(async () => {
    links = { namespace, broker: testAmqpUrl(), locks: testRedisUrl() };
    connection = await amqplib.connect(testAmqpUrl());
  });
  beforeEach(async () => {
    channel = await connection.createChannel();
    channel.on('error', () => {});
    queue = uniqueName('celery');
    // As a Celery worker older than 5.5 declares it: classic, and bare of arguments.
    await channel.assertQueue(queue, { durable: true });
  });
  after(() => connection.close());

  const ready = async (name: string): Promise<number> => (await channel.checkQueue(name)).messageCount;

  it('is consumed and published to as it is; its dead letters have a classic queue of ours', async () => {
    const ran: unknown[] = [];
    class Loans {
      @Task({ queue, retry: { attempts: 2, delay: 1, jitter: false } })
      async recompute(loanId: number) {
        ran.push(loanId);
        if (loanId < 0) throw new Error('no such loan');
      }
    }
    await using app = createApp({ ...links, queues: { [queue]: { passive: true } }, services: [Loans] });
    const dead: string[] = [];
    app.on('task:dead', ({ id }) => dead.push(id));
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    const body = Buffer.from('[[2], {}, {}]');
    channel.sendToQueue(queue, body, {
      contentType: 'application/json',
      headers: { task: 'Loans.recompute', id: 'from-python' },
    });
    const { id } = await app.tasks(Loans).recompute(-1);
    await eventually(() => expect(dead).to.deep.equal([id]));
    expect(ran).to.have.members([1, 2, -1, -1]);
    await eventually(async () => expect([await ready(queue), await ready(`${queue}.dead`)]).to.deep.equal([0, 1]));
    // The broker refuses a declaration whose arguments are others.
    await channel.assertQueue(queue, { durable: true });
    await channel.assertQueue(`${queue}.dead`, { durable: true, arguments: { 'x-queue-type': 'classic' } });
  });

  it('gets no header that expires, but a property, and no key waits longer than its message', async () => {
    class Loans {
      @Task({ queue, unique: 'loan:<loanId>', expires: '5s' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    await using app = createApp({ ...links, queues: { [queue]: { passive: true } }, services: [Loans] });
    await app.tasks(Loans).recompute(1);
    const message = await channel.get(queue, { noAck: true });
    if (message === false) throw new Error('there is no message');
    expect(Number(message.properties.expiration)).to.be.within(4_000, 5_000);
    expect(message.properties.headers).to.include({ expires: null });
    const { locks } = await app.inspector();
    await eventually(async () => {
      const shown = await locks.show('Loans.recompute loan:1');
      expect(shown).to.have.property('left').that.is.within(1, 5_000);
      expect(shown).to.have.property('phase', 'queued');
    });
  });

  it('must exist, and is declared by nobody of ours', async () => {
    const nobodys = uniqueName('celery');
    const app: App = createApp({ ...links, queues: { [nobodys]: { passive: true } }, services: [] });
    const thrown: unknown = await app.connect().catch((error: unknown) => error);
    expect(thrown).to.have.property('code', 'CONFIG');
    expect(thrown).to.have.property('message', `there is no queue '${nobodys}', and it is not ours to declare`);
    await app.close();
  });

  it('has no dead letters where no task of the app is on it', async () => {
    await using app = createApp({ ...links, queues: { [queue]: { passive: true } }, services: [] });
    await app.send('loans.tasks.recompute', { args: [1], queue });
    expect(await ready(queue)).to.equal(1);
    const missing: unknown = await channel.checkQueue(`${queue}.dead`).catch((error: unknown) => error);
    expect(missing).to.have.property('code', 404);
  });

  it('has them once a worker of ours consumes it: what no task knows goes there, and does not go round', async () => {
    await using app = createApp({ ...links, queues: { [queue]: { passive: true } }, services: [] });
    const failed: string[] = [];
    app.on('publish:failed', ({ id }) => failed.push(id));
    await app.worker({ queues: [queue] }).start();
    channel.sendToQueue(queue, Buffer.from('[[1], {}, {}]'), {
      contentType: 'application/json',
      headers: { task: 'nobody.knows', id: 'from-python' },
    });
    await eventually(async () => expect(await ready(`${queue}.dead`)).to.equal(1));
    expect(await ready(queue)).to.equal(0);
    expect(failed).to.deep.equal([]);
  });

  it('takes no arguments, for they are its owner’s', () => {
    const declare = (options: object) =>
      thrownBy(() => createApp({ ...links, queues: { celery: { passive: true, ...options } }, services: [] }));
    for (const options of [{ type: 'classic' }, { maxPriority: 5 }]) {
      expect(declare(options))
        .to.have.property('message')
        .that.matches(/queue 'celery' is passive.*leave them out/);
    }
    expect(declare({ passive: 'yes' }))
      .to.have.property('message')
      .that.contains('true or false');
  });
});

describe("a queue that is somebody else's, in memory", () => {
  const clock = systemClock;

  it('is used as it is, and no key waits longer than its message', async () => {
    const broker = new MemoryBroker(clock);
    const store = new MemoryLocks();
    broker.declare({ name: 'celery', type: 'classic' });
    class Loans {
      @Task({ queue: 'celery', unique: 'loan:<loanId>', expires: '5s' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const links = { broker: createMemoryTransport({ clock, broker }), locks: createMemoryGuard({ clock, store }) };
    await using app = createApp({ ...links, queues: { celery: { passive: true } }, services: [Loans] });
    await app.tasks(Loans).recompute(1);
    await eventually(() => {
      const { phase, deadline } = store.read('solotask:lock:Loans.recompute:loan:1', clock.now())!;
      expect(phase).to.equal('queued');
      expect(deadline - clock.now()).to.be.within(1, 5_000);
    });
    expect(broker.ready('celery')).to.equal(1);
    expect(broker.queue('celery.dead')?.declaration).to.include({ type: 'classic' });
  });

  it('must exist', async () => {
    const links = { broker: 'memory:', locks: 'memory:' };
    const app = createApp({ ...links, queues: { nobodys: { passive: true } }, services: [] });
    const thrown: unknown = await app.connect().catch((error: unknown) => error);
    expect(thrown).to.have.property('message').that.contains('not ours to declare');
    await app.close();
  });
});
