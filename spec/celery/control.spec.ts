import amqplib from 'amqplib';
import { expect } from 'chai';
import { hostname } from 'node:os';
import { createApp, Task, type App } from '../../lib/index.js';
import { fixture, TaskWorkerProcess } from '../cli/task-worker-process.js';
import { CeleryPeer, CeleryWorker } from '../support/celery.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { celeryProgram } from './monitors.js';

const NAMESPACE = uniqueName('control');

type Replies = Readonly<Record<string, unknown>>;

describe("a worker's answers to Celery's remote control", () => {
  const queue = uniqueName('queue');
  const gate = new Gate();
  class Loans {
    @Task({ queue, name: 'loans.recompute' }) async recompute(id: number, how: { deep: boolean }) {
      if (id === 42 && how.deep) await gate.pass();
    }
  }
  const peer = new CeleryPeer({ queue: uniqueName('celery') });
  let proxy: TcpProxy;
  let app: App;
  let taskId = '';
  const name = uniqueName('web');
  const node = `${name}@${hostname()}`;

  before(async () => {
    proxy = await startProxy(testAmqpUrl());
    app = createApp({ broker: proxy.url, locks: testRedisUrl(), services: [Loans], namespace: NAMESPACE });
    await app.connect({ name });
    await app.worker({ taskEvents: true, concurrency: 3 }).start();
    taskId = (await app.tasks(Loans, { priority: 0 }).recompute(42, { deep: true })).id;
    await eventually(() => expect(gate.arrivals).to.equal(1));
  });
  after(async () => {
    gate.open();
    await app.close();
    await proxy.close();
    await peer.close();
  });

  async function inspected(...args: string[]): Promise<Replies> {
    const { stdout } = await celeryProgram('inspect', ...args, '--json');
    return JSON.parse(stdout) as Replies;
  }

  it('reach `celery inspect ping` and `celery status`', async () => {
    expect(await inspected('ping')).to.deep.include({ [node]: { ok: 'pong' } });
    const { code, stdout } = await celeryProgram('status');
    expect(code).to.equal(0);
    expect(stdout).to.include(`${node}: OK`);
  });

  it('stand beside those of a Celery worker, which starts beside ours and goes on', async () => {
    const other = uniqueName('celery');
    // With gossip and mingle, which talk to every worker there is.
    const worker = new CeleryWorker({ queue: other, args: ['-P', 'solo', '-E'], sociable: true });
    try {
      await worker.ready();
      const replies = await inspected('ping');
      expect(replies).to.include.keys(node, `${other}@${hostname()}`);
      expect(worker.log).to.include('mingle: sync complete');
      expect(worker.alive).to.equal(true);
      expect(worker.log).not.to.match(/ERROR|Traceback/);
    } finally {
      await worker.end();
    }
  });

  it('say what runs, as Celery does', async () => {
    const { [node]: active } = (await inspected('active')) as Record<string, [Record<string, unknown>]>;
    expect(active).to.have.length(1);
    const [run] = active ?? [];
    expect(run).to.deep.include({ id: taskId, name: 'loans.recompute', args: [42, { deep: true }], kwargs: {} });
    expect(run).to.deep.include({ type: 'loans.recompute', hostname: node, acknowledged: false });
    expect(run?.['time_start']).to.be.closeTo(Date.now() / 1000, 60);
    const info = { exchange: '', routing_key: queue, priority: 0, redelivered: false };
    expect(run).to.deep.include({ delivery_info: info, worker_pid: process.pid });
  });

  it('tell what else a monitor asks for', async () => {
    const control = (method: string): Promise<Replies> => celeryBroadcast({ method, destination: [node] });
    expect(await control('registered')).to.deep.include({ [node]: ['loans.recompute'] });
    for (const empty of ['reserved', 'scheduled', 'revoked']) {
      expect(await control(empty), empty).to.deep.include({ [node]: [] });
    }
    const { [node]: queues } = (await control('active_queues')) as Record<string, Replies[]>;
    expect(queues?.map((one) => one['name'])).to.deep.equal([queue]);
    const { [node]: stats } = (await control('stats')) as Record<string, Replies>;
    expect(stats).to.deep.include({ pid: process.pid, total: { 'loans.recompute': 1 }, prefetch_count: 13 });
    expect(stats?.['pool']).to.include({ 'max-concurrency': 3 });
    expect(stats?.['broker']).to.include({ transport: 'amqp', hostname: '127.0.0.1' });
    const { [node]: conf } = (await control('conf')) as Record<string, Replies>;
    expect(conf?.['broker_url']).to.match(/^amqp:\/\/\w+:\*{3}@127\.0\.0\.1/);
    const { [node]: report } = (await control('report')) as Record<string, Replies>;
    expect(report?.['ok']).to.include('solotask:');
  });

  it('answer only what is addressed to them', async () => {
    const to = async (...args: string[]): Promise<string[]> => Object.keys(await broadcast('ping', ...args));
    const broadcast = (method: string, ...[destination, pattern, matcher]: string[]): Promise<Replies> =>
      celeryBroadcast({ method, destination: destination && [destination], pattern, matcher });
    expect(await to(node)).to.deep.equal([node]);
    expect(await to('celery@elsewhere')).to.deep.equal([]);
    expect(await to('', `${name.slice(0, 6)}*@*`, 'glob')).to.deep.equal([node]);
    expect(await to('', 'job*@*', 'glob')).to.deep.equal([]);
    expect(await to('', String.raw`web-\w+@`, 'pcre')).to.deep.equal([node]);
    expect(await to('', '(', 'pcre')).to.deep.equal([]);
  });

  it('refuse what would change something, and what nobody knows, as Celery words an error', async () => {
    for (const method of ['shutdown', 'revoke', 'pool_grow', 'rate_limit', 'add_consumer', 'no_such_thing']) {
      const { [node]: reply } = (await celeryBroadcast({ method, destination: [node] })) as Record<
        string,
        { error: string }
      >;
      expect(reply?.error, method).to.include(`a solotask worker does not do '${method}'`);
    }
    const { code, stdout } = await celeryProgram('control', 'pool_grow', '2', '-d', node);
    expect(stdout).to.include('nothing was changed');
    expect(code).to.equal(0);
    expect(await inspected('ping')).to.include.keys(node);
  });

  it('outlive whatever else comes into the mailbox', async () => {
    const connection = await amqplib.connect(testAmqpUrl());
    const channel = await connection.createChannel();
    const json = { contentType: 'application/json' };
    const reply = (exchange: unknown, routing_key: unknown): object => ({ reply_to: { exchange, routing_key } });
    const texts = ['', '{', '[]', 'null', '1', '{"method":1}', '{"method":"ping","arguments":[1]}'];
    const calls = [reply('none', 'x'), reply('reply.celery.pidbox', 'x'.repeat(300)), reply(1, {}), { reply_to: 'x' }];
    texts.push(...calls.map((call) => JSON.stringify({ method: 'ping', ticket: [{}], ...call })));
    texts.push(JSON.stringify({ method: '__proto__', arguments: { __proto__: 1 } }));
    for (const text of texts) channel.publish('celery.pidbox', '', Buffer.from(text), json);
    channel.publish('celery.pidbox', '', Buffer.from([0x80, 4, 0x95]), {
      contentType: 'application/x-python-serialize',
    });
    await channel.close();
    await connection.close();
    expect(await celeryBroadcast({ method: 'ping' })).to.have.property(node);
  });

  it('come again after the link to the broker was lost', async () => {
    proxy.cut();
    await eventually(async () => expect(await celeryBroadcast({ method: 'ping' })).to.have.property(node), {
      timeout: 20_000,
    });
  });

  it('are given by `task-worker -E` too', async () => {
    const own = uniqueName('cli');
    const env = {
      AMQP_URL: testAmqpUrl(),
      REDIS_URL: testRedisUrl(),
      SPEC_NAMESPACE: NAMESPACE,
      SPEC_QUEUE: uniqueName('cli'),
    };
    const worker = new TaskWorkerProcess(['-a', fixture('app'), '-E', '-n', `${own}@here`], env);
    try {
      await worker.hears('worker:ready');
      expect(await celeryBroadcast({ method: 'ping', destination: [`${own}@here`] })).to.have.property(`${own}@here`);
    } finally {
      worker.signal('SIGTERM');
      await worker.ended;
    }
  });

  it('end with the worker, whose mailbox goes', async () => {
    const worker = app.worker({ taskEvents: true });
    await worker.start();
    const second = `${name}-2@${hostname()}`;
    expect(await inspected('ping')).to.include.keys(node, second);
    await worker.stop({ timeout: 0 });
    expect(await inspected('ping'))
      .to.include.keys(node)
      .and.not.include.keys(second);
    const connection = await amqplib.connect(testAmqpUrl());
    const channel = await connection.createChannel();
    channel.on('error', () => {});
    const gone = await channel.checkQueue(`${second}.celery.pidbox`).catch((error: { code: number }) => error.code);
    expect(gone).to.equal(404);
    await connection.close();
  });

  function celeryBroadcast(wish: {
    method: string;
    destination?: string[] | string | undefined;
    pattern?: string | undefined;
    matcher?: string | undefined;
  }): Promise<Replies> {
    return peer.ask('broadcast', wish);
  }
});
