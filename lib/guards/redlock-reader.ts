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

/** What is read without a vote, for people: from all nodes that answer, for one may have come back empty. */
export class RedlockReader implements Presence {
  readonly #nodes: RedlockNodes;

  constructor(nodes: RedlockNodes) {
    this.#nodes = nodes;
  }

  async read(key: string): Promise<LockRecord | undefined> {
    return agreed(await this.#all(async (client) => readRecord(await client.hgetall(key))));
  }

  async now(): Promise<number> {
    const times = await this.#all(async (client) => {
      const [seconds = 0, micros = 0] = await client.time();
      return seconds * 1000 + Math.floor(micros / 1000);
    });
    return Math.max(...times);
  }

  async scan(prefix: string, text: string, limit: number): Promise<RecordScan> {
    const pattern = `${literal(prefix)}*${text.split('*').map(literal).join('*')}*`;
    const nodes = await this.#all(async (client) => {
      const records: Found[] = [];
      for await (const keys of walk(client, pattern)) {
        records.push(...(await heldOf(client, keys)));
        if (records.length > limit) break;
      }
      return records;
    });
    const found = new Map<string, LockRecord[]>();
    for (const { key, record } of nodes.flat()) found.set(key, [...(found.get(key) ?? []), record]);
    const records = [...found].map(([key, all]) => ({ key, record: agreed(all) ?? all[0]! }));
    return { records: records.slice(0, limit), more: records.length > limit };
  }

  async put(key: string, record: PresenceRecord, ttl: number): Promise<void> {
    await this.#everywhere((client) => client.set(key, JSON.stringify(record), 'PX', Math.round(ttl)));
  }

  async remove(key: string): Promise<void> {
    await this.#everywhere((client) => client.del(key));
  }

  async list(prefix: string): Promise<readonly PresenceRecord[]> {
    const found = new Map<string, PresenceRecord>();
    await this.#all(async (client) => {
      for await (const keys of walk(client, `${literal(prefix)}*`)) {
        const texts = keys.length === 0 ? [] : await client.mget([...keys]);
        texts.map(parsed).forEach((record, i) => record && found.set(keys[i] ?? '', record));
        if (found.size >= PRESENT_WORKERS) break;
      }
    });
    return [...found.values()].slice(0, PRESENT_WORKERS);
  }

  async #everywhere(say: (client: Redis) => Promise<unknown>): Promise<void> {
    const ready = this.#nodes.clients.filter(({ status }) => status === 'ready');
    await Promise.allSettled(ready.map(say));
  }

  /** The answers of those that give one; at least one does. */
  async #all<T>(ask: (client: Redis) => Promise<T>): Promise<T[]> {
    const { address, clients } = this.#nodes;
    const trouble = this.#nodes.unavailable();
    const ends = await Promise.allSettled(clients.map(ask));
    const answers = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
    if (answers.length > 0) return answers;
    const cause: unknown = trouble ?? ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []))[0];
    throw new LockUnavailableError(`no Redis node answers (${address})`, { address }, cause);
  }
}

type Found = RecordScan['records'][number];

/** Of what the nodes have, that on which the most agree; of as many, the later claim. */
function agreed(records: readonly (LockRecord | undefined)[]): LockRecord | undefined {
  const same = (one?: LockRecord, other?: LockRecord): boolean =>
    one?.owner === other?.owner && (one?.owner === undefined || one.fence === other?.fence);
  const weight = (record?: LockRecord): number => records.filter((other) => same(record, other)).length;
  const sorted = records.toSorted(
    (one, other) => weight(other) - weight(one) || (other?.fence ?? 0) - (one?.fence ?? 0),
  );
  return sorted[0];
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

async function heldOf(client: Redis, keys: readonly string[]): Promise<Found[]> {
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
