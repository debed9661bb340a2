import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createApp, Task } from 'solotask';
import { eventually } from './eventually.js';
import { Load } from './load.js';
import { testRedisUrl, uniqueName, type RabbitServer } from './servers.js';

/** ms; longer than any restart, so that no call need be refused. */
const PUBLISH_TIMEOUT = 240_000;
const KEYS = ['a', 'b', 'c'];
/** ms; a quorum queue that is killed in its first seconds may not come back in order. */
const SETTLED = 6_000;
/** Quorum queues take their time to find a leader, the more so on a busy machine. */
const PATIENCE = { timeout: 240_000 };

/** The node ends at once, and starts again on the same data. */
export const killed = async (rabbit: RabbitServer): Promise<void> => {
  await rabbit.kill('SIGKILL');
  await rabbit.restart();
};

/** The node ends in order, and starts again. */
export const stopped = (rabbit: RabbitServer): Promise<void> => rabbit.restart();

/**
 * Callers of a plain and of a unique task and a worker, all of which live through the restarts: every call settles, no
 * accepted one goes without its run, no two bodies of one key meet, and nothing is left behind.
 */
export async function survives(
  rabbit: RabbitServer,
  restarts: readonly ((rabbit: RabbitServer) => Promise<void>)[],
): Promise<void> {
  const [queue, namespace] = [uniqueName('queue'), uniqueName('ns')];
  const [unique, plain] = [new Load(), new Load()];
  class Loans {
    @Task({ queue, unique: { key: 'loan:<key>', onDuplicate: 'coalesce', lease: '3s', ttl: '5m' } })
    recompute(key: string, version: number) {
      return unique.body(key, version);
    }

    @Task({ queue })
    note(key: string, version: number) {
      return plain.body(key, version);
    }
  }
  const links = { broker: rabbit.url, locks: testRedisUrl() };
  await using app = createApp({ ...links, namespace, services: [Loans], publishTimeout: PUBLISH_TIMEOUT });
  const connected: string[] = [];
  app.on('broker:connected', ({ link }) => connected.push(link));
  const moreRuns = async (): Promise<void> => {
    const [runs, notes] = [unique.runs, plain.runs];
    await eventually(() => expect(Math.min(unique.runs - runs, plain.runs - notes)).to.be.above(30), PATIENCE);
  };
  await app.worker().start();
  const stub = app.tasks(Loans);
  for (const keys of [KEYS, KEYS]) unique.calls(keys, (key, version) => stub.recompute(key, version));
  plain.calls(['note'], (key, version) => stub.note(key, version));
  const born = performance.now();
  await moreRuns();
  await eventually(() => expect(performance.now() - born).to.be.above(SETTLED), PATIENCE);
  for (const restart of restarts) {
    connected.length = 0;
    await restart(rabbit);
    await eventually(() => expect(connected).to.include.members(['publish', 'consume']), PATIENCE);
    await moreRuns();
  }
  await Promise.all([unique.stop(), plain.stop()]);
  expect([...unique.codes, ...plain.codes]).to.deep.equal([]);
  await eventually(() => expect(plain.missing()).to.deep.equal([]), PATIENCE);
  await eventually(() => expect(unique.findings()).to.deep.equal([]), PATIENCE);
  await nobodyHasAKey(`${namespace}:lock:Loans.recompute:loan:`);
  expect(unique.findings()).to.deep.equal([]);
}

async function nobodyHasAKey(prefix: string): Promise<void> {
  await using redis = disposable(new Redis(testRedisUrl()));
  await eventually(async () => {
    for (const key of KEYS) {
      expect(await redis.client.hmget(prefix + key, 'o', 'a', 'm')).to.deep.equal([null, null, null]);
    }
  }, PATIENCE);
}

const disposable = (client: Redis) => ({ client, [Symbol.asyncDispose]: async () => void (await client.quit()) });
