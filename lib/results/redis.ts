import { Redis, type RedisOptions } from 'ioredis';
import type { Clock } from '../clock.js';
import { AccessRefusedError, ClosedError, ResultsUnavailableError, toError } from '../errors.js';
import { bare, LOGIN_REFUSED, maskedRedisUrl, parseRedisUrl } from '../redis-node.js';
import { isAfter, RESULT_TIME, type ResultBackend, type ResultWish, type StoredResult } from '../result-backend.js';
import { decodeResult, encodeResult, resultKey } from './celery-result.js';
import { RedisSubscriber } from './redis-subscriber.js';
import { Waiters } from './waiters.js';

/** A Redis that is down or hangs is told from a slow one in a second: a worker waits for it with a key in its hands. */
const OPTIONS = {
  commandTimeout: 1000,
  connectTimeout: 1000,
  socketTimeout: 2000,
  disconnectTimeout: 250,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  lazyConnect: true,
  // After a loss the channels are subscribed first, and then read: ioredis would not say when it has done so.
  autoResubscribe: false,
  retryStrategy: (times: number) => Math.min(times * 50, 1000),
} satisfies RedisOptions;

/** After a read that failed the next one comes so much later, ms. */
const READ_AGAIN = 500;

/** What results on Redis are made of. */
export interface RedisResultsOptions {
  /** A URL, or a client to be duplicated. */
  readonly redis: string | Redis;
  readonly clock: Clock;
}

class RedisResultBackend implements ResultBackend {
  readonly address: string;
  readonly #client: Redis;
  readonly #clock: Clock;
  readonly #subscriber: RedisSubscriber;
  readonly #waiters: Waiters;
  #trouble: Error | undefined;
  #closed = false;

  constructor({ redis, clock }: RedisResultsOptions) {
    this.address = addressOf(redis);
    this.#clock = clock;
    this.#client = open(redis);
    this.#client.on('error', (error: Error) => (this.#trouble = bare(error)));
    this.#client.on('ready', () => (this.#trouble = undefined));
    this.#subscriber = new RedisSubscriber(open(redis), clock, (channel) => this.#waiters.ring(channel));
    this.#waiters = new Waiters({
      first: (channel) => this.#subscriber.add(channel),
      last: (channel) => this.#subscriber.remove(channel),
    });
  }

  async connect(timeout: number): Promise<void> {
    if (this.#closed) throw new ClosedError('the results were closed');
    if (this.#client.status === 'wait') this.#client.connect().catch(() => {});
    const end = this.#clock.monotonic() + timeout;
    while (this.#client.status !== 'ready') {
      if (LOGIN_REFUSED.test(this.#trouble?.message ?? '')) {
        throw new AccessRefusedError(this.#text(), { address: this.address }, this.#trouble);
      }
      const left = end - this.#clock.monotonic();
      if (left <= 0 || this.#closed) throw this.#unavailable(this.#trouble);
      await this.#change(left);
    }
  }

  async store(id: string, task: string, result: StoredResult): Promise<void> {
    const text = encodeResult({ id, task, now: this.#clock.now() }, result);
    const key = resultKey(id);
    await this.#use(async (client) => {
      const batch = client.multi();
      const seconds = RESULT_TIME / 1000;
      if (result.status === 'dropped') batch.set(key, text, 'EX', seconds, 'NX');
      else batch.setex(key, seconds, text);
      for (const [error] of (await batch.publish(key, text).exec()) ?? []) if (error !== null) throw error;
    });
  }

  async wait({ id, after }: ResultWish, signal: AbortSignal): Promise<StoredResult | undefined> {
    const key = resultKey(id);
    let trouble: unknown;
    const seen = await this.#waiters.until(key, signal, async () => {
      try {
        const text = await this.#use((client) => client.get(key));
        trouble = undefined;
        const result = text === null ? undefined : decodeResult(id, text);
        return result !== undefined && isAfter(result, after) ? result : undefined;
      } catch (error) {
        if (!(error instanceof ResultsUnavailableError)) throw error;
        trouble = error;
        this.#clock.after(READ_AGAIN, () => this.#waiters.ring(key), { idle: true });
        return undefined;
      }
    });
    if (seen === undefined && trouble !== undefined) throw trouble;
    return seen;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiters.ringAll();
    this.#subscriber.close();
    if (this.#client.status === 'ready') await this.#client.quit().catch(() => {});
    if (this.#client.status !== 'end') this.#client.disconnect();
  }

  async #use<T>(command: (client: Redis) => Promise<T>): Promise<T> {
    if (this.#closed) throw new ClosedError('the results were closed');
    if (this.#client.status !== 'ready') throw this.#unavailable(this.#trouble);
    try {
      return await command(this.#client);
    } catch (error) {
      if (this.#closed) throw new ClosedError('the results were closed');
      throw this.#unavailable(bare(toError(error)));
    }
  }

  /** The next word of the connection, or the end of the time. */
  #change(left: number): Promise<void> {
    return new Promise((resolve) => {
      const events = ['ready', 'error', 'close'];
      const end = (): void => {
        timer.cancel();
        for (const event of events) this.#client.off(event, end);
        resolve();
      };
      const timer = this.#clock.after(left, end);
      for (const event of events) this.#client.on(event, end);
    });
  }

  #text(trouble = this.#trouble): string {
    return `Redis at ${this.address} (results): ${trouble?.message ?? 'not connected'}`;
  }

  #unavailable(trouble: Error | undefined): ResultsUnavailableError {
    return new ResultsUnavailableError(this.#text(trouble), { address: this.address }, trouble);
  }
}

/** Channels have no prefix in Redis's view of them; the keys of a client that has one keep it. */
function open(redis: string | Redis): Redis {
  return typeof redis === 'string' ? new Redis(redis, OPTIONS) : redis.duplicate(OPTIONS);
}

function addressOf(redis: string | Redis): string {
  if (typeof redis === 'string') return maskedRedisUrl(parseRedisUrl(redis, 'results'));
  const { host = 'localhost', port = 6379, path } = redis.options;
  return path ?? `redis://${host}:${port}`;
}

/** Results on Redis, as Celery's own backend keeps them: a Celery client reads ours, and we read a Celery worker's. */
export function createRedisResults(options: RedisResultsOptions): ResultBackend {
  return new RedisResultBackend(options);
}
