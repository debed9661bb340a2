import amqplib from 'amqplib';
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../lib/clock.js';
import { createRedlockGuard } from '../../lib/guards/redlock.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';
import { Child } from '../support/child.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

const LEASE = 3_000;

describe('death and return, with processes of their own on RabbitMQ and Redis', () => {
  const file = fileURLToPath(new URL('./fixtures/mortal.js', import.meta.url));
  let children: Child[] = [];
  // One namespace for all tests, for its delay queues are dear; so each test has a loan of its own.
  const namespace = uniqueName('ns');
  let queue = '';
  let loanId = 0;

  beforeEach(() => {
    queue = uniqueName('queue');
    loanId++;
  });
  afterEach(async () => {
    await Promise.all(children.map((child) => child.kill()));
    children = [];
  });

  const start = (env: Record<string, string>): Child => {
    const common = {
      AMQP: testAmqpUrl(),
      REDIS: testRedisUrl(),
      QUEUE: queue,
      NAMESPACE: namespace,
      LOAN: `${loanId}`,
      LEASE: `${LEASE}`,
    };
    const child = new Child(file, { ...common, ...env });
    children.push(child);
    return child;
  };
  const worker = async (env: Record<string, string> = {}): Promise<Child> => {
    const child = start({ ROLE: 'worker', ...env });
    await child.hears('ready');
    return child;
  };
  const enqueue = async (calls = 1): Promise<readonly Record<string, unknown>[]> => {
    const child = start({ ROLE: 'producer', CALLS: `${calls}` });
    const receipts = await child.hears('receipt', calls, 15_000);
    await child.gone();
    return receipts;
  };
  const everybody = (event: string) => children.flatMap((child) => child.said(event));
  const ready = async (): Promise<number> => {
    const transport = createRabbitTransport({
      url: testAmqpUrl(),
      namespace,
      clock: systemClock,
      connectionName: 'look',
    });
    await transport.connect(5_000);
    const figures = await transport.figures(queue);
    await transport.close();
    return figures.ready;
  };
  /** The next message of the queue, once the broker has noticed that its consumers are gone. */
  const leftOver = async (): Promise<boolean> => {
    const connection = await amqplib.connect(testAmqpUrl());
    const channel = await connection.createChannel();
    await eventually(async () => expect((await channel.checkQueue(queue)).consumerCount).to.equal(0));
    const message = await channel.get(queue, { noAck: true });
    await connection.close();
    return message !== false;
  };
  const record = async () => {
    const guard = createRedlockGuard({ nodes: [testRedisUrl()], clock: systemClock });
    await guard.connect(5_000);
    const found = await guard.read(`${namespace}:lock:loans.recompute:loan:${loanId}`);
    await guard.close();
    return found;
  };

  // E2
  it('publishes one message for fifty concurrent calls from five processes', async () => {
    const producers = Array.from({ length: 5 }, () => start({ ROLE: 'producer', CALLS: '10' }));
    await Promise.all(producers.map((producer) => producer.hears('receipt', 10, 30_000)));
    const receipts = everybody('receipt');
    expect(receipts.filter(({ status }) => status === 'enqueued')).to.have.length(1);
    expect(new Set(receipts.map(({ id }) => id)).size).to.equal(1);
    expect(await ready()).to.equal(1);
    // Five processes start at once, on machines with two cores.
  }).timeout(40_000);

  // E6
  it('accepts a key after the publish window of a producer that was killed between lock and publish', async () => {
    const killed = start({ ROLE: 'producer', CALLS: '1', DIE: 'guard.claimPublishing after' });
    expect(await killed.gone()).to.include({ signal: 'SIGKILL' });
    expect(await record()).to.include({ phase: 'publishing' });
    const asked = Date.now();
    const [receipt] = await enqueue();
    expect(receipt).to.include({ status: 'enqueued' });
    expect(Date.now() - asked).to.be.below(9_000);
    expect(everybody('receipt')).to.have.length(1);
    expect(await ready()).to.equal(1);
  });

  // D1
  it('runs the task of a killed worker on another one within one lease, and a duplicate meanwhile never beside it', async () => {
    const first = await worker({ BODY: 'hold' });
    const [receipt] = await enqueue();
    await first.hears('started');
    const second = await worker();
    await first.kill('SIGKILL');
    const killed = Date.now();
    const [duplicate] = await enqueue();
    expect(duplicate).to.include({ status: 'discarded', id: receipt?.['id'] });
    const [started] = await second.hears('started');
    expect(Date.now() - killed).to.be.below(LEASE + 2_000);
    expect(started).to.include({ attempt: 1, redelivered: true });
    expect(started?.['fence']).to.be.greaterThan(first.said('started')[0]?.['fence'] as number);
    await second.hears('task:succeeded');
    expect(everybody('started')).to.have.length(2);
    expect(await ready()).to.equal(0);
  });

  // D1, W1: what the essay's worker recipe lost, refused by its own lock
  it('runs the task of a killed worker under the worker recipe too, and does not drop it for its own lock', async () => {
    const first = await worker({ RECIPE: 'worker', BODY: 'hold' });
    await start({ RECIPE: 'worker', ROLE: 'producer', CALLS: '1' }).gone();
    await first.hears('started');
    const second = await worker({ RECIPE: 'worker' });
    await first.kill('SIGKILL');
    const killed = Date.now();
    await second.hears('task:succeeded');
    expect(Date.now() - killed).to.be.below(LEASE + 2_000);
    expect(everybody('task:discarded')).to.have.length(0);
    expect(everybody('started')).to.have.length(2);
    expect(await ready()).to.equal(0);
  });

  // D2
  it('finds done, and does not run again, what was killed between release and ack', async () => {
    const first = await worker({ DIE: 'guard.release after' });
    await enqueue();
    await first.hears('ended');
    await first.gone();
    const second = await worker();
    const [succeeded] = await second.hears('task:succeeded');
    expect(succeeded).to.include({ recovered: true });
    expect(everybody('started')).to.have.length(1);
    await second.kill('SIGTERM');
    expect(await ready()).to.equal(0);
  });

  it('says dead, not succeeded, of what was killed between the release of a dead letter and its ack', async () => {
    const first = await worker({ BODY: 'reject', DIE: 'guard.release after' });
    await enqueue();
    await first.gone();
    const second = await worker();
    expect((await second.hears('task:dead'))[0]).to.include({ code: 'RECOVERED' });
    expect(everybody('task:succeeded')).to.have.length(0);
    expect(everybody('started')).to.have.length(1);
  });

  // D8
  for (const point of ['transport.publish before', 'transport.publish after']) {
    it(`gives exactly one good run when killed at ${point} of a retry`, async () => {
      const first = await worker({ BODY: 'fail once', DIE: point });
      await enqueue();
      await first.hears('started');
      expect(await first.gone()).to.include({ signal: 'SIGKILL' });
      expect(await record()).to.include({ phase: 'queued' });
      const second = await worker();
      await second.hears('task:succeeded');
      await eventually(async () => expect((await record())?.owner).to.equal(undefined));
      await eventually(async () => expect(await ready()).to.equal(0));
      await second.kill('SIGTERM');
      expect(everybody('ended')).to.have.length(1);
      expect(await ready()).to.equal(0);
    });
  }

  // R7
  it('runs the newest arguments after a death in the re-run', async () => {
    const first = await worker({ RECIPE: 'coalesce', BODY: 'die in the re-run' });
    await start({ RECIPE: 'coalesce', ROLE: 'producer', CALLS: '1' }).gone();
    expect(await first.gone()).to.include({ signal: 'SIGKILL' });
    expect(first.said('started').map(({ rate }) => rate)).to.deep.equal([1, 2]);
    const second = await worker({ RECIPE: 'coalesce' });
    await second.hears('task:succeeded');
    expect(second.said('started').map(({ rate }) => rate)).to.deep.equal([2]);
    await second.kill('SIGTERM');
    expect(await record()).to.include({ owner: undefined, args: undefined, mark: undefined });
    expect(await ready()).to.equal(0);
  });

  // W6
  it('loses the run of a killed worker with acksLate false, and frees the key after its lease', async () => {
    const first = await worker({ BODY: 'hold', ACKS: 'early' });
    await enqueue();
    await first.hears('started');
    await first.kill('SIGKILL');
    expect(await ready()).to.equal(0);
    expect((await enqueue())[0]).to.include({ status: 'discarded' });
    await eventually(async () => expect((await enqueue())[0]).to.include({ status: 'enqueued' }), {
      timeout: LEASE + 3_000,
    });
    expect(everybody('started')).to.have.length(1);
  });

  // W6
  it('acks before the first line of a body with acksLate false, so that its death is never repeated', async () => {
    const first = await worker({ BODY: 'die at once', ACKS: 'early' });
    await enqueue();
    expect(await first.gone()).to.include({ signal: 'SIGKILL' });
    expect(await leftOver()).to.equal(false);
  });

  // D3 (task-worker itself: spec/cli)
  it('finishes at SIGTERM what runs', async () => {
    const first = await worker();
    await enqueue(3);
    await first.hears('task:succeeded');
    await first.kill('SIGTERM');
    expect(await ready()).to.equal(0);
  });
});
