import amqplib, { type Channel, type ChannelModel } from 'amqplib';
import { expect } from 'chai';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { jobsApp } from './fixtures/jobs.js';
import { fixture, TaskWorkerProcess } from './task-worker-process.js';

describe('task-worker run', () => {
  let connection: ChannelModel;
  let channel: Channel;
  let producer: ReturnType<typeof jobsApp>;
  let env: Record<string, string> = {};
  let workers: TaskWorkerProcess[] = [];

  before(async () => {
    connection = await amqplib.connect(testAmqpUrl());
    channel = await connection.createChannel();
  });
  after(() => connection.close());
  beforeEach(() => {
    const place = { queue: uniqueName('cli'), namespace: uniqueName('ns') };
    producer = jobsApp({ ...place, broker: testAmqpUrl(), locks: testRedisUrl() });
    env = {
      AMQP_URL: testAmqpUrl(),
      REDIS_URL: testRedisUrl(),
      SPEC_QUEUE: place.queue,
      SPEC_NAMESPACE: place.namespace,
    };
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    workers = [];
    await producer.app.close();
    for (const queue of [env['SPEC_QUEUE'] ?? '', `${env['SPEC_QUEUE']}.dead`]) await channel.deleteQueue(queue);
  });

  const start = async (...flags: string[]): Promise<TaskWorkerProcess> => {
    const worker = new TaskWorkerProcess(['-a', fixture('app'), ...flags], env);
    workers.push(worker);
    await worker.hears('worker:ready');
    return worker;
  };
  const jobs = () => producer.app.tasks(producer.Jobs);
  const waiting = async (): Promise<number> => (await channel.checkQueue(env['SPEC_QUEUE'] ?? '')).messageCount;

  it('consumes, and writes a line of JSON for each event', async () => {
    const worker = await start('-n', 'spec-worker', '-l', 'debug');
    const { id } = await jobs().work(7, 10);
    await worker.hears('task:succeeded');
    worker.signal('SIGTERM');
    const { code, stderr } = await worker.ended;
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    const task = { task: 'Jobs.work', id, key: 'job:7', queue: env['SPEC_QUEUE'], attempt: 1, worker: 'spec-worker' };
    expect(worker.said('task:started')).to.include({ ...task, level: 'info' });
    expect(worker.said('task:log')).to.deep.include({ ...task, msg: 'at work', data: { id: 7 } });
    expect(worker.said('task:succeeded')).to.include(task).and.have.property('seconds').above(0.009);
    expect(worker.said('worker:connected')).to.deep.include({ locks: testRedisUrl(), long: ['Jobs.fail'] });
    expect(worker.said('worker:stopped')).to.include({ aborted: 0 });
  });

  it('logs errors with stack and cause', async () => {
    const worker = await start();
    await jobs().fail('for a reason');
    const failed = await worker.hears('task:failed');
    expect(failed).to.include({ level: 'warn', msg: 'Jobs.fail failed: for a reason' });
    expect(failed)
      .to.have.nested.property('error.stack')
      .that.matches(/^Error: for a reason\n\s+at .*jobs/);
    expect(failed).to.have.nested.property('error.cause.type', 'TypeError');
    expect(await worker.hears('task:dead')).to.include({ level: 'error', attempt: 2, code: 'FAILED' });
  });

  // D3
  it('finishes what runs after SIGTERM, acknowledges it and ends with 0', async () => {
    const worker = await start();
    await jobs().work(1, 600);
    await worker.hears('task:started');
    worker.signal('SIGTERM');
    expect((await worker.ended).code).to.equal(0);
    expect(worker.said('task:succeeded')).to.include({ key: 'job:1' });
    expect(await waiting()).to.equal(0);
  });

  // D3
  it('gives back what has not begun', async () => {
    const worker = await start('-c', '1');
    for (const id of [1, 2, 3]) await jobs().work(id, 600);
    await worker.hears('task:started');
    worker.signal('SIGTERM');
    expect((await worker.ended).code).to.equal(0);
    expect(await waiting()).to.equal(2);
  });

  // D3
  it('aborts what still runs after the timeout, puts it back, frees its key at once and ends with 1', async () => {
    const worker = await start('--shutdown-timeout', '100ms');
    const { id } = await jobs().work(1, 60_000);
    await worker.hears('task:started');
    worker.signal('SIGTERM');
    expect((await worker.ended).code).to.equal(1);
    expect(worker.said('worker:stopped')).to.include({ aborted: 1, level: 'warn' });
    expect(await waiting()).to.equal(1);
    const next = await start();
    expect(await next.hears('task:started')).to.include({ id, redelivered: true, attempt: 1 });
    expect(next.said('lock:waiting')).to.equal(undefined);
  });

  // D3
  it('does not wait for a body that ignores its abort, and the next worker waits for its lease', async () => {
    const worker = await start('--shutdown-timeout', '100ms');
    await jobs().ignoreEverything(1);
    await worker.hears('task:started');
    worker.signal('SIGTERM');
    expect((await worker.ended).code).to.equal(1);
    expect(worker.said('task:overdue')).to.include({ key: 'deaf:1' });
    expect(await waiting()).to.equal(1);
    const next = await start();
    expect(await next.hears('lock:waiting')).to.include({ key: 'deaf:1' });
    expect(next.said('task:started')).to.equal(undefined);
  });

  it('works the queues off with --once, and ends with 0; what falls due later stays', async () => {
    for (const id of [1, 2, 3]) await jobs().work(id, 50);
    await jobs().fail('once');
    await producer.app.tasks(producer.Jobs, { delay: '1h' }).work(4, 50);
    const worker = await start('--once', '-q', `${env['SPEC_QUEUE']}:2`);
    const { code, stderr } = await worker.ended;
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    expect(worker.said('worker:ready')).to.include({ concurrency: 2 });
    expect(worker.said('worker:stopping')).to.have.property('msg').that.contains('its queues are empty');
    expect(worker.lines.filter(({ event }) => event === 'task:succeeded')).to.have.length(3);
    expect(worker.lines.filter(({ event }) => event === 'task:retried')).to.have.length(1);
    expect(await waiting()).to.equal(0);
  });

  it('ends with 1 when --once is told to stop before the end, and had to abort', async () => {
    await jobs().work(1, 60_000);
    const worker = await start('--once', '--shutdown-timeout', '100ms');
    await worker.hears('task:started');
    worker.signal('SIGTERM');
    expect((await worker.ended).code).to.equal(1);
    expect(await waiting()).to.equal(1);
  });

  it('begins no more than --max-tasks, finishes them however long they take, and ends with 0', async () => {
    for (const id of [1, 2, 3, 4, 5]) await jobs().work(id, 500);
    const worker = new TaskWorkerProcess(
      ['-a', fixture('app'), '--max-tasks', '3', '--shutdown-timeout', '100ms'],
      env,
    );
    workers.push(worker);
    expect((await worker.ended).code).to.equal(0);
    for (const event of ['task:started', 'task:succeeded']) {
      expect(worker.lines.filter((line) => line.event === event)).to.have.length(3);
    }
    expect(worker.said('worker:stopping')).to.have.property('msg').that.contains('3 runs were begun');
    expect(await waiting()).to.equal(2);
  });

  it('skips to the abort at the second SIGINT', async () => {
    const worker = await start();
    await jobs().work(1, 60_000);
    await worker.hears('task:started');
    worker.signal('SIGINT');
    await worker.hears('worker:quiet');
    // A key press is one even when npm passes it on once more: the second has to come a moment later.
    await eventually(() => {
      worker.signal('SIGINT');
      expect(worker.said('worker:aborting')).to.not.equal(undefined);
    });
    expect((await worker.ended).code).to.be.oneOf([1, 130]);
    expect(worker.said('task:failed')).to.have.nested.property('error.code', 'WORKER_STOPPED');
    expect(await waiting()).to.equal(1);
  });

  it('ends at once at the third SIGINT', async () => {
    const worker = await start();
    await jobs().ignoreEverything(1);
    await worker.hears('task:started');
    let code: number | null | undefined;
    void worker.ended.then((end) => (code = end.code));
    await eventually(() => {
      worker.signal('SIGINT');
      expect(code).to.equal(130);
    });
    expect(worker.said('worker:stopped')).to.equal(undefined);
    await eventually(async () => expect(await waiting()).to.equal(1));
  });

  it('takes two SIGINTs at the same moment for one key press', async () => {
    const worker = await start();
    await jobs().work(1, 500);
    await worker.hears('task:started');
    worker.signal('SIGINT');
    await worker.hears('worker:stopping');
    worker.signal('SIGINT');
    expect((await worker.ended).code).to.equal(0);
    expect(worker.said('task:succeeded')).to.include({ key: 'job:1' });
  });

  it('stops gracefully with 1 when an exception reaches nobody', async () => {
    const worker = await start();
    await jobs().crash();
    expect((await worker.ended).code).to.equal(1);
    expect(worker.said('worker:crashed')).to.have.nested.property('error.message', 'thrown at nobody');
    expect(worker.said('task:succeeded')).to.include({ task: 'Jobs.crash' });
  });
});
