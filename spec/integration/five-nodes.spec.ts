import amqplib from 'amqplib';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createApp, Task, type App, type TaskError } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { startRedis, testAmqpUrl, uniqueName, type Server } from '../support/servers.js';

const PATIENCE = { timeout: 15_000 };

describe('the main path on five Redis nodes and RabbitMQ', () => {
  const namespace = uniqueName('five');
  const gates: Gate[] = [];
  let servers: Server[];
  let queue: string;
  let app: App | undefined;

  before(async () => {
    servers = await Promise.all(Array.from({ length: 5 }, () => startRedis()));
  });
  after(() => Promise.all(servers.map((server) => server.stop())));
  beforeEach(() => {
    queue = uniqueName('queue');
  });
  afterEach(async () => {
    for (const gate of gates.splice(0)) gate.open();
    await Promise.all(servers.map((server) => server.kill('SIGCONT')));
    await app?.close();
    await Promise.all(servers.filter(({ pid }) => pid === undefined).map((server) => server.restart()));
  });

  /** An app whose task waits for a gate, and what its runs were given. */
  const loans = async (publishTimeout = 10_000) => {
    const gate = new Gate();
    const seen: number[] = [];
    class Loans {
      @Task({ queue, unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce' } })
      async recompute(loanId: number, version: number) {
        seen.push(version);
        await gate.pass();
        return loanId;
      }
    }
    const locks = servers.map(({ url }) => url);
    app = createApp({ broker: testAmqpUrl(), locks, namespace, services: [Loans], publishTimeout });
    gates.push(gate);
    await app.connect();
    const stub = app.tasks(Loans);
    const told = async (loanId: number, version: number): Promise<string> =>
      (await stub.recompute(loanId, version)).status;
    const ended = { good: 0 };
    app.on('task:succeeded', () => ended.good++);
    return { gate, seen, ended, told, stub, worker: app.worker() };
  };
  type Loans = Awaited<ReturnType<typeof loans>>;
  /** Enqueue, a duplicate that waits, a duplicate of the running one, and the run for it; `meanwhile`: during the first. */
  const mainPath = async (
    { gate, seen, ended, told, worker }: Loans,
    loanId: number,
    meanwhile: () => Promise<unknown> = async () => {},
  ): Promise<void> => {
    expect(await told(loanId, 1)).to.equal('enqueued');
    expect(await told(loanId, 2)).to.equal('coalesced');
    await worker.start();
    await eventually(() => expect(seen).to.deep.equal([2]), PATIENCE);
    await meanwhile();
    expect(await told(loanId, 3)).to.equal('coalesced');
    gate.open();
    await eventually(() => expect(seen).to.deep.equal([2, 3]), PATIENCE);
    await eventually(() => expect(ended.good).to.equal(2), PATIENCE);
    // Nothing is left of it: the next is accepted.
    expect(await told(loanId, 4)).to.equal('enqueued');
    await eventually(() => expect(seen).to.deep.equal([2, 3, 4]), PATIENCE);
  };
  const ready = async (): Promise<number> => {
    const connection = await amqplib.connect(testAmqpUrl());
    const { messageCount } = await (await connection.createChannel()).checkQueue(queue);
    await connection.close();
    return messageCount;
  };

  it('is as on one', async () => {
    await mainPath(await loans(), 1);
  });

  it('is the same with two that are down', async () => {
    await Promise.all([servers[0]!.kill(), servers[3]!.kill()]);
    await mainPath(await loans(), 2);
  });

  it('goes on when two go down while a task runs', async () => {
    await mainPath(await loans(), 3, () => Promise.all([servers[1]!.kill(), servers[2]!.kill()]));
  });

  it('is the same with one that hangs and one that has lost its memory, whose word counts for nothing', async () => {
    await mainPath(await loans(), 4, async () => {
      await servers[4]!.kill('SIGSTOP');
      const emptied = new Redis(servers[0]!.url);
      await emptied.flushall();
      await emptied.quit();
    });
  });

  it('ends with three that are down: LOCK_UNAVAILABLE that says where, and nothing is published', async () => {
    const { told, stub } = await loans(2_000);
    const lost = new Promise<Error | undefined>((resolve) =>
      app!.on('redis:unavailable', ({ error }) => resolve(error)),
    );
    expect(await told(5, 1)).to.equal('enqueued');
    await Promise.all([0, 2, 4].map((node) => servers[node]!.kill()));
    const asked = performance.now();
    const error = await stub.recompute(6, 1).catch((thrown: TaskError) => thrown);
    expect(error).to.have.property('code', 'LOCK_UNAVAILABLE');
    expect(error).to.have.property('message').that.includes('nothing was published');
    for (const { url } of servers) expect(error).to.have.nested.property('cause.message').that.includes(url);
    expect(performance.now() - asked).to.be.below(4_000);
    expect(await lost).to.have.property('code', 'LOCK_UNAVAILABLE');
    expect(await ready()).to.equal(1);
    // The third is enough.
    await servers[2]!.restart();
    await eventually(async () => expect(await told(6, 1)).to.equal('enqueued'));
    expect(await ready()).to.equal(2);
  });
});
