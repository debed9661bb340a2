import { expect } from 'chai';
import { Redis, type Command, type RedisOptions } from 'ioredis';
import { systemClock } from '../../../lib/clock.js';
import { MEMORY_TIME, type Guard } from '../../../lib/guard.js';
import { createRedlockGuard } from '../../../lib/guards/redlock.js';
import { readRecord } from '../../../lib/guards/redlock-record.js';
import { running, publishing } from '../../support/guards.js';
import { testRedisUrl } from '../../support/servers.js';
import { Turns, Way, type Nodes } from './nodes.js';

/** A client of a real Redis; its commands about records go by way and turn. */
class Link extends Redis {
  readonly #url: string;
  readonly #way: Way;
  readonly #turns: Turns;

  constructor(url: string, options: RedisOptions, way: Way, turns: Turns) {
    super(url, { ...options, lazyConnect: true, replyMapping: 'legacy' });
    this.#url = url;
    this.#way = way;
    this.#turns = turns;
  }

  /** As the guard asks for it, but silence is the way's alone: a busy machine makes none. */
  override duplicate(options?: RedisOptions): never {
    const patient = { ...options, commandTimeout: 30_000, socketTimeout: 30_000 };
    return new Link(this.#url, patient, this.#way, this.#turns) as never;
  }

  override sendCommand(command: Command, ...more: []): unknown {
    const execute = async (): Promise<unknown> => super.sendCommand(command, ...more);
    const watched = ['evalsha', 'eval', 'hmget'].includes(command.name);
    return watched ? this.#turns.inTurn(this.#way.send(execute)) : execute();
  }
}

/** Databases of one Redis are as good as servers here: what happens to a node happens on its way. */
const database = (number: number): string => Object.assign(new URL(testRedisUrl()), { pathname: `/${number}` }).href;

/** Every script once, so that no node is asked twice for want of one. */
async function loadScripts(guard: Guard): Promise<void> {
  const key = 'solotask:lock:scripts';
  const [waiting, run] = [publishing('a'), running('a')];
  await guard.claimPublishing(key, waiting);
  await guard.confirm(key, waiting, 1000);
  await guard.claimRunning(key, run);
  await guard.release(key, run, { seq: 0, dead: true });
  await guard.abandon(key, run);
}

/** The guard on Redis, with as many databases. */
export async function redisNodes(count: number): Promise<Nodes> {
  const turns = new Turns();
  const ways = Array.from({ length: count }, () => new Way());
  const urls = ways.map((_, node) => database(node + 1));
  const raw = urls.map((url) => new Redis(url));
  const nodes = ways.map((way, node) => new Link(urls[node] as string, {}, way, turns));
  const guard = createRedlockGuard({ nodes, clock: systemClock });
  await guard.connect(5000);
  await loadScripts(guard);
  return {
    guard,
    ways,
    quiet: () => turns.quiet(),
    async record(node, key) {
      const client = raw[node] as Redis;
      const [hash, ttl] = await Promise.all([client.hgetall(key), client.pttl(key)]);
      const record = readRecord(hash);
      if (record !== undefined) expect(ttl).to.be.within(1, MEMORY_TIME + 300_000);
      return record;
    },
    async empty(node, key) {
      await (raw[node] as Redis).del(key);
    },
    async close() {
      await guard.close();
      await Promise.all(raw.map((client) => client.quit()));
    },
  };
}
