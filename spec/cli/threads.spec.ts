import amqplib, { type Channel, type ChannelModel } from 'amqplib';
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { taskWorker, TaskWorkerProcess } from './task-worker-process.js';

const FIXTURE = new URL('../integration/fixtures/heavy.js', import.meta.url);

describe('task-worker run, with tasks in threads', () => {
  let connection: ChannelModel;
  let channel: Channel;
  let workers: TaskWorkerProcess[] = [];
  let queue: string;
  let env: Record<string, string>;
  let heavy: typeof import('../integration/fixtures/heavy.js');

  before(async () => {
    connection = await amqplib.connect(testAmqpUrl());
    channel = await connection.createChannel();
  });
  after(() => connection.close());
  beforeEach(async () => {
    queue = uniqueName('queue');
    const place = { queue, namespace: uniqueName('cli-threads') };
    // The app's code leaves broker and locks open: the worker takes them from the environment, and so do its threads.
    env = { HEAVY: JSON.stringify(place), AMQP_URL: testAmqpUrl(), REDIS_URL: testRedisUrl() };
    process.env['HEAVY'] = JSON.stringify({ ...place, broker: testAmqpUrl(), locks: testRedisUrl() });
    heavy = (await import(`${FIXTURE.href}?cli-${queue}`)) as typeof heavy;
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    workers = [];
    await heavy.default.close();
    for (const name of [queue, `${queue}.dead`]) await channel.deleteQueue(name);
  });

  const start = async (...flags: string[]): Promise<TaskWorkerProcess> => {
    const worker = new TaskWorkerProcess(['-a', fileURLToPath(FIXTURE), ...flags], env);
    workers.push(worker);
    await worker.hears('worker:ready');
    return worker;
  };
  const stub = () => heavy.default.tasks(heavy.Heavy);

  it('knows the module by -a; what a thread logs and enqueues is in the log; ends with 0', async () => {
    const worker = await start();
    const { first } = (await (await stub().ask(3)).result({ timeout: '20s' })) as { first: string };
    await eventually(() => {
      const [line] = worker.lines.filter(({ event, id }) => event === 'task:enqueued' && id === first);
      expect(line).to.include({ task: 'Heavy.note', key: 'note:3' });
    });
    await stub().spin(1, 10);
    expect(await worker.hears('task:log')).to.include({ task: 'Heavy.spin', key: 'spin:1', msg: 'spinning' });
    worker.signal('SIGTERM');
    const { code, stderr } = await worker.ended;
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
  }).timeout(40_000);

  // D3
  it('ends the thread of a body that computes past the timeout of a stop, and its key is free for the next worker', async () => {
    const worker = await start('--shutdown-timeout', '100ms');
    const { id } = await stub().hold(1, 'spin');
    await worker.hears('task:log');
    worker.signal('SIGTERM');
    expect((await worker.ended).code).to.equal(1);
    expect(worker.said('worker:stopped')).to.include({ aborted: 1 });
    expect(worker.said('task:overdue')).to.equal(undefined);
    const next = await start();
    expect(await next.hears('task:started')).to.include({ id, redelivered: true, attempt: 1 });
    expect(next.said('lock:waiting')).to.equal(undefined);
  }).timeout(40_000);

  it('tells of threads and time limits in the list for scripts', async () => {
    const { stdout } = await taskWorker(['list', '--json', '-a', fileURLToPath(FIXTURE)], env);
    const tasks = JSON.parse(stdout) as { task: string; thread: boolean; timeLimit: number | null }[];
    const [limited, note] = ['Heavy.limited', 'Heavy.note'].map((name) => tasks.find(({ task }) => task === name));
    expect(limited).to.include({ thread: true, timeLimit: 500 });
    expect(note).to.include({ thread: false, timeLimit: null });
  });

  it('lives on when a thread runs out of memory or calls process.exit', async () => {
    const worker = await start();
    await stub().crash('exit');
    expect(await worker.hears('task:dead')).to.include({ code: 'THREAD_CRASHED', attempt: 2 });
    expect(await (await stub().spin(1, 1)).result({ timeout: '20s' })).to.equal(1);
    worker.signal('SIGTERM');
    expect((await worker.ended).code).to.equal(0);
  }).timeout(40_000);
});
