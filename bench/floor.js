// The same work of broker and Redis by the bare drivers, without us: what any library on top of them has to pay.
import amqplib from 'amqplib';
import { Redis } from 'ioredis';
import { CONCURRENCY, QUEUE } from './ours.js';
import { pool, Tally } from './measure.js';

/** What a task message carries, without its headers. */
const bodyOf = (i) => Buffer.from(`[[${i}],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]`);

export class Floor {
  #connection;
  #channel;
  #redis;

  async open({ amqpUrl, redisUrl }) {
    this.#connection = await amqplib.connect(amqpUrl, { noDelay: true });
    this.#channel = await this.#connection.createConfirmChannel();
    this.#redis = new Redis(redisUrl, { enableAutoPipelining: true });
  }

  #publish(i) {
    return new Promise((resolve, reject) => {
      const settle = (error) => (error ? reject(error) : resolve());
      this.#channel.sendToQueue(QUEUE, bodyOf(i), { persistent: true, mandatory: true }, settle);
    });
  }

  async enqueue(method, first, operations) {
    await pool(operations, async (i) => {
      if (method === 'unique') {
        const taken = await this.#redis.set(`${QUEUE}:floor:${first + i}`, 'x', 'PX', 60_000, 'NX');
        if (taken !== 'OK') throw new Error(`the key ${first + i} was taken`);
      }
      await this.#publish(first + i);
    });
  }

  async work(first, operations) {
    const tally = new Tally(first, operations);
    const channel = await this.#connection.createChannel();
    await channel.prefetch(CONCURRENCY);
    const { consumerTag } = await channel.consume(QUEUE, (message) => {
      tally.count(JSON.parse(message.content)[0][0]);
      channel.ack(message);
    });
    await tally.complete;
    // Acknowledgements may get lost when a channel is closed right after them; the answer to a cancel comes after them.
    await channel.cancel(consumerTag);
    await channel.close();
    tally.check();
  }

  /** Messages in the queue. */
  async ready() {
    const { messageCount } = await this.#channel.checkQueue(QUEUE);
    return messageCount;
  }

  async purge() {
    await this.#channel.purgeQueue(QUEUE);
  }

  /** Takes along what the benchmark has left in servers that live on. */
  async close() {
    if (this.#redis === undefined) return;
    await this.#channel.deleteQueue(QUEUE);
    await this.#channel.deleteQueue(`${QUEUE}.dead`);
    await this.#connection.close();
    for (const pattern of [`${QUEUE}:floor:*`, 'solotask:lock:bench.*']) {
      for await (const keys of this.#redis.scanStream({ match: pattern, count: 1000 })) {
        if (keys.length > 0) await this.#redis.unlink(keys);
      }
    }
    await this.#redis.quit();
  }
}
