import amqplib from 'amqplib';
import { expect } from 'chai';
import { createApp, Task, type App, type Receipt, type TaskError } from 'solotask';
import { Redis } from 'ioredis';
import { jobsApp } from '../cli/fixtures/jobs.js';
import { fixture, TaskWorkerProcess } from '../cli/task-worker-process.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { startRedis, testAmqpUrl, uniqueName, type Server } from '../support/servers.js';

/** ms that a node may take to answer before it is left out. */
const COMMAND_TIMEOUT = 250;

describe('the main path on three Redis nodes and RabbitMQ', () => {
  let servers: Server[];
  const namespace = uniqueName('three');
  let queue = '';
  const apps: App[] = [];
  const gates: Gate[] = [];

  before(async () => {
    servers = await Promise.all([startRedis(), startRedis(), startRedis()]);
  });
  after(() => Promise.all(servers.map((server) => server.stop())));
  beforeEach(() => {
    queue = uniqueName('queue');
  });
  afterEach(async () => {
    for (const gate of gates.splice(0)) gate.open();
    await Promise.all(servers.map((server) => server.kill('SIGCONT')));
    await Promise.all(apps.splice(0).map((app) => app.close()));
    await Promise.all(servers.filter(({ pid }) => pid === undefined).map((server) => server.restart()));
  });

  const ready = async (): Promise<number> => {
    const connection = await amqplib.connect(testAmqpUrl());
    const { messageCount } = await (await connection.createChannel()).checkQueue(queue);
    await connection.close();
    return messageCount;
  };
  const urls = () => servers.map(({ url }) => url);
  /** An app whose task waits for a gate, and what its runs were given. */
  const loans = (publishTimeout = 10_000) => {
    const gate = new Gate();
    const seen: number[] = [];
    class Loans {
      @Task({ queue, unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce', lease: '2s' } })
      async recompute(loanId: number, version: number) {
        seen.push(version);
        await gate.pass();
      }

      @Task({ queue, unique: { key: 'loan:<loanId>', lease: '2s' } })
      async once(loanId: number) {
        await gate.pass();
      }
    }
    const app = createApp({ broker: testAmqpUrl(), locks: urls(), namespace, services: [Loans], publishTimeout });
    apps.push(app);
    gates.push(gate);
    const ended = { good: 0 };
    app.on('task:succeeded', () => void ended.good++);
    return { app, gate, seen, ended, stub: app.tasks(Loans) };
  };
  type Loans = ReturnType<typeof loans>;
  /** Enqueue, duplicate, run, duplicate of the running one, and the run for it. */
  const mainPath = async ({ app, gate, seen, ended, stub }: Loans): Promise<Receipt[]> => {
    const receipts = [await stub.once(1), await stub.once(1), await stub.recompute(1, 1), await stub.recompute(1, 2)];
    const worker = app.worker();
    await worker.start();
    await eventually(() => expect(seen).to.deep.equal([2]));
    receipts.push(await stub.recompute(1, 3), await stub.recompute(1, 4));
    gate.open();
    await eventually(() => expect(ended.good).to.be.at.least(2), { timeout: 15_000 });
    await eventually(() => expect(seen).to.deep.equal([2, 4]), { timeout: 15_000 });
    return receipts;
  };
  const told = (receipts: readonly Receipt[]) => receipts.map(({ status }) => status);
  const AS_ON_ONE = ['enqueued', 'discarded', 'enqueued', 'coalesced', 'coalesced', 'coalesced'];

  it('is as on one, and every node has the records', async () => {
    const play = loans();
    expect(await play.app.connect()).to.have.property('locks', urls().join(', '));
    const [first, duplicate] = await mainPath(play);
    expect(duplicate).to.include({ status: 'discarded', id: first?.id });
    for (const url of urls()) {
      const redis = new Redis(url);
      const key = `${namespace}:lock:Loans.recompute:loan:1`;
      await eventually(async () => expect(await redis.hexists(key, 'd')).to.equal(1));
      await eventually(async () => expect(await redis.hexists(key, 'o')).to.equal(0));
      await redis.quit();
    }
  });

  it('is the same with one that hangs, which nobody waits for', async () => {
    const play = loans();
    await play.app.connect();
    await play.stub.once(2);
    await servers[1]!.kill('SIGSTOP');
    let next = 3;
    // On a busy machine each try may take long; if somebody waited, every one did.
    await eventually(async () => {
      const begin = performance.now();
      const receipts = await Promise.all([next++, next++, next++, 2].map((loanId) => play.stub.once(loanId)));
      expect(told(receipts)).to.deep.equal(['enqueued', 'enqueued', 'enqueued', 'discarded']);
      expect(performance.now() - begin).to.be.below(COMMAND_TIMEOUT);
    });
    expect(told(await mainPath(play))).to.deep.equal(AS_ON_ONE);
  });

  it('is the same with one that is down, and with one that came back empty', async () => {
    const down = loans();
    await servers[0]!.kill();
    expect(told(await mainPath(down))).to.deep.equal(AS_ON_ONE);
    queue = uniqueName('queue');
    const again = loans();
    await again.stub.once(6);
    await servers[0]!.restart();
    await servers[1]!.restart();
    await eventually(async () => expect((await again.stub.once(7)).status).to.be.oneOf(['enqueued', 'discarded']));
    expect(await again.stub.once(7)).to.include({ status: 'discarded' });
  });

  it('ends at the enqueue with two that are down: LOCK_UNAVAILABLE within publishTimeout, and nothing is published', async () => {
    const play = loans(2_000);
    await play.app.connect();
    await play.stub.once(8);
    await Promise.all([servers[0]!.kill(), servers[2]!.kill()]);
    const begin = performance.now();
    const error = await play.stub.once(9).catch((thrown: TaskError) => thrown);
    expect(error).to.have.property('code', 'LOCK_UNAVAILABLE');
    expect(performance.now() - begin).to.be.below(2_500);
    expect(await ready()).to.equal(1);
    await Promise.all([servers[0]!.restart(), servers[2]!.restart()]);
    await eventually(async () => expect((await play.stub.once(9)).status).to.equal('enqueued'));
  });

  it('is that of task-worker with REDIS_URL separated by commas, which names them all without their passwords', async () => {
    // A Redis without a password takes any.
    const login = urls().map((url) => url.replace('redis://', 'redis://default:hush@'));
    const env = {
      AMQP_URL: testAmqpUrl(),
      REDIS_URL: login.join(', '),
      SPEC_QUEUE: queue,
      SPEC_NAMESPACE: namespace,
    };
    const worker = new TaskWorkerProcess(['-a', fixture('app')], env);
    await worker.hears('worker:ready');
    const masked = urls().map((url) => url.replace('redis://', 'redis://default:***@'));
    expect(worker.said('worker:connected')).to.have.property('locks', masked.join(', '));
    const { app, Jobs } = jobsApp({ queue, namespace, broker: testAmqpUrl(), locks: urls() });
    apps.push(app);
    await app.tasks(Jobs).work(1, 10);
    await worker.hears('task:succeeded');
    worker.signal('SIGTERM');
    expect(await worker.ended).to.include({ code: 0, stderr: '' });
    const even = new TaskWorkerProcess(['-a', fixture('app')], { ...env, REDIS_URL: login.slice(1).join(',') });
    expect((await even.ended).code).to.equal(78);
  });
});
