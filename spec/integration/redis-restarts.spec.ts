import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createApp, Task, taskContext, type App } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { Load } from '../support/load.js';
import { startRedis, testAmqpUrl, uniqueName, type Server } from '../support/servers.js';

/** ms */
const LEASE = 2_000;
const PATIENCE = { timeout: 15_000 };
const KEYS = ['a', 'b', 'c'];

describe('Redis that restarts under load', () => {
  const namespace = uniqueName('ns');
  let servers: Server[] = [];
  let app: App | undefined;
  let load: Load;
  let queue: string;

  beforeEach(() => {
    load = new Load();
    queue = uniqueName('queue');
  });
  afterEach(async () => {
    await load.stop();
    await app?.close();
    await Promise.all(servers.splice(0).map((server) => server.stop()));
  });

  const redis = async (...args: string[]): Promise<Server> => {
    const server = await startRedis({ args });
    servers.push(server);
    return server;
  };
  /** An app under load: two callers of three keys, and a worker. */
  const underLoad = async () => {
    const current = load;
    class Loans {
      @Task({ queue, unique: { key: 'loan:<key>', onDuplicate: 'coalesce', lease: LEASE } })
      recompute(key: string, version: number) {
        return current.body(key, version);
      }
    }
    const locks = servers.map(({ url }) => url);
    app = createApp({ broker: testAmqpUrl(), locks, namespace, services: [Loans] });
    const stub = app.tasks(Loans);
    await app.worker().start();
    for (const keys of [KEYS, KEYS]) load.calls(keys, (key, version) => stub.recompute(key, version));
    await moreRuns(30);
    return stub;
  };
  const moreRuns = async (count: number): Promise<void> => {
    const { runs } = load;
    await eventually(() => expect(load.runs - runs).to.be.above(count), PATIENCE);
  };
  const nobodyHasAKey = async (): Promise<void> => {
    for (const { url } of servers) {
      const client = new Redis(url);
      await eventually(async () => {
        for (const key of KEYS) {
          const record = `${namespace}:lock:Loans.recompute:loan:${key}`;
          expect(await client.hmget(record, 'o', 'a', 'm')).to.deep.equal([null, null, null]);
        }
      }, PATIENCE);
      await client.quit();
    }
  };
  /** The callers end, and every promise is kept but those that `terms` excuse. */
  const nothingIsLost = async (terms: Parameters<Load['findings']>[0] = {}): Promise<void> => {
    await load.stop();
    await eventually(() => expect(load.findings(terms)).to.deep.equal([]), PATIENCE);
    await nobodyHasAKey();
    expect(load.findings(terms)).to.deep.equal([]);
  };

  // D5
  it('loses no message when it is back, empty, at once: only arguments that it alone knew, and bodies may meet', async () => {
    const server = await redis();
    const stub = await underLoad();
    const from = load.now();
    await server.kill();
    await server.restart();
    const to = load.now();
    await moreRuns(30);
    // Who was granted the key before may begin after who got it anew: only the fences tell, to whom it matters.
    await nothingIsLost({ mayMeet: true, forgot: true, ordered: (call) => !load.open(call, from, to) });
    expect(await stub.recompute('a', 1_000_000)).to.include({ status: 'enqueued' });
  });

  // D5
  it('lets no two bodies meet when it stays away for longer than a lease', async () => {
    const server = await redis();
    const stub = await underLoad();
    const from = load.now();
    await server.kill();
    await eventually(() => expect(load.now() - from).to.be.above(LEASE + 500), PATIENCE);
    await server.restart();
    const to = load.now();
    await moreRuns(30);
    await nothingIsLost({ ordered: (call) => !load.open(call, from, to) });
    expect(await stub.recompute('a', 1_000_000)).to.include({ status: 'enqueued' });
    for (const code of load.codes) expect(code).to.be.oneOf(['LOCK_UNAVAILABLE', 'DUPLICATE_UNDECIDED']);
  });

  // D5
  it('loses no update when it writes all that it answers to disk', async () => {
    const server = await redis('--appendonly', 'yes', '--appendfsync', 'always');
    await underLoad();
    await server.kill();
    await server.restart();
    await moreRuns(30);
    await nothingIsLost();
  });

  // D5
  it('loses no update when one of three restarts empty', async () => {
    await Promise.all([redis(), redis(), redis()]);
    await underLoad();
    for (const server of servers) {
      await server.kill();
      await server.restart();
      await moreRuns(30);
    }
    await nothingIsLost();
  });

  // D5
  it('aborts a body whose key it forgot, and its message runs again', async () => {
    const server = await redis();
    const gate = new Gate();
    const reasons: unknown[] = [];
    const fences: number[] = [];
    class Loans {
      @Task({ queue, unique: { key: 'loan:<key>', lease: LEASE } })
      async recompute(key: string) {
        const { signal, fence = 0 } = taskContext();
        fences.push(fence);
        if (fences.length === 1) {
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
          reasons.push((signal.reason as { code: unknown }).code);
        }
        await gate.pass();
        return key;
      }
    }
    const own = (app = createApp({ broker: testAmqpUrl(), locks: server.url, namespace, services: [Loans] }));
    let ended = 0;
    app.on('task:succeeded', () => ended++);
    await app.worker().start();
    await app.tasks(Loans).recompute('a');
    await eventually(() => expect(fences).to.have.length(1));
    await server.kill();
    await server.restart();
    gate.open();
    await eventually(() => expect(ended).to.equal(1), PATIENCE);
    expect(reasons).to.deep.equal(['LEASE_LOST']);
    expect(fences).to.have.length(2);
    expect(fences[1]).to.be.above(fences[0]!);
    await eventually(async () => expect(await own.tasks(Loans).recompute('a')).to.include({ status: 'enqueued' }));
  });
});
