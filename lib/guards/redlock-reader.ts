import type { Redis } from 'ioredis';
import { LockUnavailableError } from '../errors.js';
import type { LockRecord, RecordScan } from '../guard.js';
import { PRESENT_WORKERS, type Presence, type PresenceRecord } from '../presence.js';
import type { RedlockNodes } from './redlock-nodes.js';
import { readRecord } from './redlock-record.js';

/** Keys that one SCAN looks at: about a millisecond of the server's time. */
const STEP = 1_000;

/** The text of a pattern that stands for itself. */
const literal = (text: string): string => text.replace(/[\\?[\]^*]/g, '\\$&');

/** Names with what the client puts in front of them: SCAN, unlike other commands, does not see to that. */
const prefixOf = (client: Redis): string => client.options.keyPrefix ?? '';

/** What is read without a vote, for people: from the first node that answers. */
export class RedlockReader implements Presence {
  readonly #nodes: RedlockNodes;

  constructor(nodes: RedlockNodes) {
    this.#nodes = nodes;
  }

  read(key: string): Promise<LockRecord | undefined> {
    return this.#first(async (client) => readRecord(await client.hgetall(key)));
  }

  now(): Promise<number> {
    return this.#first(async (client) => {
      const [seconds = 0, micros = 0] = await client.time();
      return seconds * 1000 + Math.floor(micros / 1000);
    });
  }

  scan(prefix: string, text: string, limit: number): Promise<RecordScan> {
    const pattern = `${literal(prefix)}*${text.split('*').map(literal).join('*')}*`;
    return this.#first(async (client) => {
      const records: RecordScan['records'][number][] = [];
      for await (const keys of walk(client, pattern)) {
        records.push(...(await heldOf(client, keys)));
        if (records.length > limit) break;
      }
      return { records: records.slice(0, limit), more: records.length > limit };
    });
  }

  async put(key: string, record: PresenceRecord, ttl: number): Promise<void> {
    await this.#everywhere((client) => client.set(key, JSON.stringify(record), 'PX', Math.round(ttl)));
  }

  async remove(key: string): Promise<void> {
    await this.#everywhere((client) => client.del(key));
  }

  list(prefix: string): Promise<readonly PresenceRecord[]> {
    return this.#first(async (client) => {
      const found: PresenceRecord[] = [];
      for await (const keys of walk(client, `${literal(prefix)}*`)) {
        const texts = keys.length === 0 ? [] : await client.mget([...keys]);
        found.push(...texts.map(parsed).filter((record) => record !== undefined));
        if (found.length >= PRESENT_WORKERS) break;
      }
      return found.slice(0, PRESENT_WORKERS);
    });
  }

  async #everywhere(say: (client: Redis) => Promise<unknown>): Promise<void> {
    const ready = this.#nodes.clients.filter(({ status }) => status === 'ready');
    await Promise.allSettled(ready.map(say));
  }

  async #first<T>(ask: (client: Redis) => Promise<T>): Promise<T> {
    const { address } = this.#nodes;
    let trouble: unknown = this.#nodes.unavailable();
    for (const client of this.#nodes.clients) {
      try {
        return await ask(client);
      } catch (error) {
        trouble ??= error;
      }
    }
    throw new LockUnavailableError(`no Redis node answers (${address})`, { address }, trouble);
  }
}

/** Names that match, without the client's prefix; each once, though SCAN may repeat itself. */
async function* walk(client: Redis, pattern: string): AsyncGenerator<readonly string[]> {
  const prefix = prefixOf(client);
  const seen = new Set<string>();
  let cursor = '0';
  do {
    const [next, keys] = await client.scan(cursor, 'MATCH', literal(prefix) + pattern, 'COUNT', STEP);
    const fresh = keys.filter((key) => !seen.has(key));
    for (const key of fresh) seen.add(key);
    yield fresh.map((key) => key.slice(prefix.length));
    cursor = next;
  } while (cursor !== '0');
}

async function heldOf(client: Redis, keys: readonly string[]): Promise<RecordScan['records'][number][]> {
  const hashes = await Promise.all(keys.map((key) => client.hgetall(key)));
  return hashes.flatMap((hash, index) => {
    const record = readRecord(hash);
    return record?.owner === undefined ? [] : [{ key: keys[index] ?? '', record }];
  });
}

function parsed(text: string | null): PresenceRecord | undefined {
  try {
    return text === null ? undefined : (JSON.parse(text) as PresenceRecord);
  } catch {
    return undefined;
  }
}
