import { expect } from 'chai';
import { Redis } from 'ioredis';
import { fileURLToPath } from 'node:url';
import { Child } from '../support/child.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

describe('results between processes, on RabbitMQ and Redis', () => {
  const file = fileURLToPath(new URL('./fixtures/mortal.js', import.meta.url));
  const namespace = uniqueName('ns');
  const children: Child[] = [];
  let queue = '';
  let loan = 0;
  beforeEach(() => {
    queue = uniqueName('queue');
    loan++;
  });
  afterEach(() => Promise.all(children.splice(0).map((child) => child.kill())));

  const start = (env: Record<string, string>): Child => {
    const links = { AMQP: testAmqpUrl(), REDIS: testRedisUrl(), NAMESPACE: namespace };
    const child = new Child(file, { ...links, QUEUE: queue, LOAN: `${loan}`, LEASE: '1s', ...env });
    children.push(child);
    return child;
  };
  const kept = async (id: unknown): Promise<unknown> => {
    const redis = new Redis(testRedisUrl());
    const text = await redis.get(`celery-task-meta-${String(id)}`);
    await redis.quit();
    return text === null ? undefined : (JSON.parse(text) as unknown);
  };

  // E15
  it('reach the producers of other processes, the enqueued and the discarded, and let them end', async () => {
    const producers = ['2', '2'].map((CALLS) => start({ ROLE: 'producer', ASK: 'result', CALLS }));
    await Promise.all(producers.map((producer) => producer.hears('receipt', 2)));
    const worker = start({ ROLE: 'worker' });
    const said = await Promise.all(producers.map((producer) => producer.hears('result', 2)));
    const [ended] = await worker.hears('ended');
    expect(said.flat().map(({ result }) => result)).to.deep.equal(Array(4).fill({ pid: ended?.['pid'] }));
    for (const producer of producers) expect(await producer.gone()).to.include({ code: 0 });
  });

  it('are there before the key is free: a worker that is killed before or after the release has kept them', async () => {
    const producer = start({ ROLE: 'producer', ASK: 'result', CALLS: '1' });
    const [receipt] = await producer.hears('receipt');
    const first = start({ ROLE: 'worker', DIE: 'guard.release before' });
    expect(await first.gone()).to.include({ signal: 'SIGKILL' });
    expect(await kept(receipt?.['id'])).to.deep.include({ status: 'SUCCESS' });
    const [said] = await producer.hears('result');
    expect(said?.['result']).to.deep.equal({ pid: first.said('ended')[0]?.['pid'] });

    // Killed before the release it runs again, and what that run returned is kept then.
    const second = start({ ROLE: 'worker', DIE: 'guard.release after' });
    expect(await second.gone()).to.include({ signal: 'SIGKILL' });
    const third = start({ ROLE: 'worker' });
    expect((await third.hears('task:succeeded'))[0]).to.include({ recovered: true, id: receipt?.['id'] });
    expect(third.said('started')).to.have.length(0);
    expect(await kept(receipt?.['id'])).to.deep.include({ result: { pid: second.said('ended')[0]?.['pid'] } });
  });
});
