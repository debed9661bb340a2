// solotask on several Redis servers, each of which holds another number of keys.
import { Redis } from 'ioredis';
import { Side as Ours } from './ours.js';

const PATTERN = 'solotask:lock:bench.unique:*';
/** Keys that one script writes. */
const BATCH = 10_000;
/** Writes one record again, under the next names. */
const COPY = `
local record, ttl = redis.call('DUMP', KEYS[1]), redis.call('PTTL', KEYS[1])
for i = 0, ARGV[3] - 1 do
  redis.call('RESTORE', ARGV[1] .. string.format('%.0f', ARGV[2] + i), ttl, record)
end`;
/** A key's entry in the main table and its object, which MEMORY STATS counts with the table and MEMORY USAGE with the key. */
const COUNTED_TWICE = 40;

class Level {
  ours = new Ours();
  redis;
  /** What the names of the keys begin with. */
  #prefix;

  async open(amqpUrl, redisUrl) {
    this.redis = new Redis(redisUrl);
    await this.ours.open({ amqpUrl, redisUrl });
  }

  /** Holds `keys` keys, the tasks `first`, `first + 1`, …: a real one, and copies of its record. */
  async fill(first, keys) {
    await this.ours.enqueue({ method: 'unique', first, operations: 1 });
    const [key] = await this.redis.keys(PATTERN);
    this.#prefix = key.slice(0, -String(first).length);
    for (let i = 1; i < keys; i += BATCH) {
      await this.redis.eval(COPY, 1, key, this.#prefix, first + i, Math.min(BATCH, keys - i));
    }
    const held = await this.redis.dbsize();
    if (held < keys) throw new Error(`${held} keys of ${keys} are held`);
    return this.#bytesPerKey(first, keys);
  }

  /** What a key and its value take, and its share of the two tables that have all keys. */
  async #bytesPerKey(first, keys) {
    const some = Array.from({ length: Math.min(1_000, keys) }, (_, i) => this.#prefix + (first + i));
    const usage = await Promise.all(some.map((key) => this.redis.memory('USAGE', key)));
    const stats = await this.redis.memory('STATS');
    const tables = stats[stats.indexOf('db.0') + 1];
    const shared = (tables[1] + tables[3]) / keys - COUNTED_TWICE;
    return usage.reduce((sum, bytes) => sum + bytes, 0) / some.length + shared;
  }

  async forget(first, operations) {
    const keys = Array.from({ length: operations }, (_, i) => this.#prefix + (first + i));
    await this.redis.unlink(keys);
  }
}

export class Side {
  #levels = [];

  async open({ amqpUrl, redisUrls }) {
    for (const redisUrl of redisUrls) {
      const level = new Level();
      this.#levels.push(level);
      await level.open(amqpUrl, redisUrl);
    }
  }

  /** Bytes a key. */
  fill({ level, first, keys }) {
    return this.#levels[level].fill(first, keys);
  }

  /** Enqueues new keys; `forget` takes them away again. */
  enqueue({ level, first, operations }) {
    return this.#levels[level].ours.enqueue({ method: 'unique', first, operations });
  }

  forget({ level, first, operations }) {
    return this.#levels[level].forget(first, operations);
  }

  async close() {
    for (const { ours, redis } of this.#levels) {
      await ours.close();
      await redis?.quit();
    }
  }
}
