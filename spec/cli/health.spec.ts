import { expect } from 'chai';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { jobsApp } from './fixtures/jobs.js';
import { fixture, TaskWorkerProcess } from './task-worker-process.js';

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

describe('task-worker run --health-port', () => {
  const place = { queue: uniqueName('cli'), namespace: uniqueName('ns') };
  const env = {
    AMQP_URL: testAmqpUrl,
    REDIS_URL: testRedisUrl,
    SPEC_QUEUE: () => place.queue,
    SPEC_NAMESPACE: () => place.namespace,
  };
  let workers: TaskWorkerProcess[] = [];
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.kill()));
    workers = [];
  });

  const start = (flags: readonly string[], others: Readonly<Record<string, string>> = {}): TaskWorkerProcess => {
    const given = Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value()]));
    const worker = new TaskWorkerProcess(['-a', fixture('app'), ...flags], { ...given, ...others });
    workers.push(worker);
    return worker;
  };
  /** By the port that the log names. */
  const asking = async (worker: TaskWorkerProcess) => {
    const { port } = await worker.hears('worker:probes');
    return async (path: string, method = 'GET'): Promise<Answer> => {
      const response = await fetch(`http://127.0.0.1:${String(port)}${path}`, { method });
      return { status: response.status, type: response.headers.get('content-type'), body: await response.text() };
    };
  };

  it('says that it lives, is ready, and what it did; and that it drains', async () => {
    const worker = start(['--health-port', '0']);
    const ask = await asking(worker);
    await worker.hears('worker:ready');
    expect(await ask('/livez')).to.deep.include({ status: 200, body: 'ok\n' });
    expect(await ask('/readyz?verbose')).to.deep.equal({
      status: 200,
      type: 'application/json',
      body: '{"ready":true,"reasons":[]}\n',
    });
    const producer = jobsApp({ ...place, broker: testAmqpUrl(), locks: testRedisUrl() });
    try {
      await producer.app.tasks(producer.Jobs).work(1, 2_000);
    } finally {
      await producer.app.close();
    }
    await worker.hears('task:started');
    const { status, type, body } = await ask('/metrics');
    expect({ status, type }).to.deep.equal({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' });
    expect(body).to.contain(`\nsolotask_running{task="Jobs.work",queue="${place.queue}"} 1\n`);
    expect(body).to.contain('\nsolotask_ready 1\n').and.not.contain('process_cpu');
    worker.signal('SIGTERM');
    await eventually(async () => {
      const answer = await ask('/readyz');
      expect(answer.status).to.equal(503);
      expect(JSON.parse(answer.body)).to.deep.equal({
        ready: false,
        reasons: ['a worker is stopping and takes no more work'],
      });
    });
    expect((await ask('/livez')).status).to.equal(200);
    expect((await worker.ended).code).to.equal(0);
    expect(worker.said('task:succeeded')).to.include({ key: 'job:1' });
  });

  it('answers while it waits for its servers, and what it does not know', async () => {
    const worker = start(['--health-port', '0'], { AMQP_URL: 'amqp://127.0.0.1:1' });
    const ask = await asking(worker);
    await worker.hears('worker:connecting');
    expect((await ask('/livez')).status).to.equal(200);
    const { status, body } = await ask('/readyz');
    expect(status).to.equal(503);
    expect(body).to.contain('the app is connecting to RabbitMQ and Redis');
    expect((await ask('/metrics')).body).to.contain('\nsolotask_ready 0\n');
    expect(await ask('/nothing')).to.include({ status: 404 });
    expect(await ask('/livez', 'POST')).to.include({ status: 405 });
    expect(await ask('/livez', 'HEAD')).to.include({ status: 200, body: '' });
  });

  it('ends with 64 when another process has the port, or it is none', async () => {
    const other = createServer().listen(0);
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    try {
      const { code, stderr } = await start(['--health-port', String(port), '--log-format', 'pretty']).ended;
      expect(code).to.equal(64);
      expect(stderr).to.contain(`--health-port ${port}: another process listens there`);
      expect((await start(['--health-port', '65536']).ended).stderr).to.contain('a port from 0 to 65535');
    } finally {
      other.close();
    }
  });

  it('is not there unless it is asked for', async () => {
    const worker = start([]);
    await worker.hears('worker:ready');
    expect(worker.said('worker:probes')).to.equal(undefined);
  });
});
