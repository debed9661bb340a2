import { expect } from 'chai';
import { createApp, RejectTask, ShouldCompute, Task, taskContext, type App } from 'solotask';
import { Redis } from 'ioredis';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { startRedis, type Server } from '../support/servers.js';

/** Every kind of task that leaves something in Redis. */
function services(gate: Gate) {
  class Loans {
    @Task({ unique: { key: 'loan:<id>', onDuplicate: 'coalesce' }, retry: { attempts: 2, delay: 10 } })
    async retried(id: number) {
      await gate.pass();
      if (taskContext().attempt === 1) throw new Error('not yet');
      return id;
    }

    @Task({ unique: { key: 'loan:<id>', keepFor: '1m' } })
    async kept(id: number) {
      return id;
    }

    @Task({ unique: { key: 'loan:<id>' } })
    async rejected(id: number) {
      throw new RejectTask(`no loan ${id}`);
    }

    @Task({ queue: 'slow', unique: { key: 'loan:<id>' } })
    async purged(id: number) {
      return id;
    }

    @Task()
    @ShouldCompute('loan:<id>')
    async worker(id: number) {
      return id;
    }

    @Task()
    async plain(id: number) {
      return id;
    }
  }
  return Loans;
}

describe('a Redis that has seen everything', () => {
  let server: Server;
  let redis: Redis;
  let app: App | undefined;
  const gate = new Gate();
  before(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
  });
  after(async () => {
    gate.open();
    await app?.close();
    await redis.quit();
    await server.stop();
  });

  /** Every key with its time to live: -1 is for ever. */
  async function keys(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for await (const batch of redis.scanStream() as AsyncIterable<string[]>)
      for (const key of batch) found.set(key, await redis.pttl(key));
    return found;
  }
  const forever = async (): Promise<string[]> =>
    [...(await keys())].filter(([, ttl]) => ttl === -1).map(([key]) => key);

  it('has no key without an expiry: of records, results, workers that are there', async () => {
    const Loans = services(gate);
    const made = createApp({
      broker: 'memory:',
      locks: server.url,
      results: true,
      services: [Loans],
      namespace: 'all',
    });
    app = made;
    const loans = made.tasks(Loans);
    let ended = 0;
    for (const event of ['task:succeeded', 'task:dead'] as const) made.on(event, () => void ended++);
    const worker = made.worker({ queues: ['tasks'] });
    await worker.start();
    const receipts = [];
    for (let id = 1; id <= 20; id++) {
      for (let i = 0; i < 2; i++) {
        receipts.push(await loans.retried(id), await loans.kept(id), await loans.worker(id));
        receipts.push(await loans.purged(id), await loans.rejected(id), await loans.plain(id));
      }
    }
    await eventually(() => expect(gate.arrivals).to.be.above(0));
    expect(await forever(), 'while tasks run').to.deep.equal([]);
    gate.open();
    await eventually(
      async () => {
        const { locks } = await (await made.inspector()).locks.list({ limit: 1000 });
        expect(locks.filter(({ phase, task }) => phase !== 'kept' && task !== 'Loans.purged')).to.have.length(0);
      },
      { timeout: 15_000 },
    );
    expect(ended).to.be.above(100);
    expect(await forever(), 'before the purge').to.deep.equal([]);
    expect((await (await made.inspector()).purge('slow')).dropped).to.equal(20);
    expect(await forever(), 'with a worker').to.deep.equal([]);
    await worker.stop();
    const left = await keys();
    expect([...left.values()].filter((ttl) => ttl === -1)).to.deep.equal([]);
    for (const kind of ['all:lock:Loans.retried', 'all:lock:Loans.kept', 'all:lock:Loans.purged', 'celery-task-meta-'])
      expect(
        [...left.keys()].some((key) => key.startsWith(kind)),
        kind,
      ).to.equal(true);
    expect(receipts).to.have.length(240);
  }).timeout(30_000);
});
