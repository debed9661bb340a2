// What the broker holds, asked by the benchmark itself and not by those whose work it is.
import amqplib from 'amqplib';
import { Redis } from 'ioredis';

export const QUEUE = 'solotask-bench';
export const CELERY_QUEUE = 'solotask-bench-celery';
/** What is left behind in Redis, by patterns of keys. */
const KEYS = ['solotask:lock:bench.*', 'solotask-bench*'];

export class Books {
  #connection;
  #channel;
  #redis;
  versions;

  async open({ amqpUrl, redisUrl }) {
    this.#connection = await amqplib.connect(amqpUrl);
    this.#channel = await this.#connection.createChannel();
    this.#redis = new Redis(redisUrl);
    const [, redis] = /redis_version:(\S+)/.exec(await this.#redis.info('server'));
    const { version } = this.#connection.connection.serverProperties;
    this.versions = { RabbitMQ: String(version), Redis: redis };
  }

  /** Fails unless exactly so many messages wait. */
  async expect(queue, messages, row) {
    const { messageCount } = await this.#channel.checkQueue(queue);
    if (messageCount !== messages) throw new Error(`${row}: ${messageCount} messages in ${queue}, and not ${messages}`);
  }

  async purge(queue) {
    await this.#channel.purgeQueue(queue);
  }

  /** Takes along what the benchmark has left in servers that live on. */
  async close() {
    const redis = this.#redis;
    this.#redis = undefined;
    if (redis === undefined) return;
    for (const queue of [QUEUE, `${QUEUE}.dead`, CELERY_QUEUE]) await this.#channel.deleteQueue(queue);
    await this.#connection.close();
    for (const match of KEYS) {
      for await (const keys of redis.scanStream({ match, count: 1000 })) {
        if (keys.length > 0) await redis.unlink(keys);
      }
    }
    await redis.quit();
  }
}
