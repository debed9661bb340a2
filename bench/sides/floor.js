// The same work of broker and Redis by the bare drivers, without us: what any library on top of them has to pay.
import { randomUUID } from 'node:crypto';
import amqplib from 'amqplib';
import { Redis } from 'ioredis';
import { latencies } from '../latency.js';
import { CONCURRENCY, peakMemory, Tally, time } from '../measure.js';

const QUEUE = 'solotask-bench';
/** The key of the task `i`. */
export const keyOf = (i) => `${QUEUE}:held:${i}`;

/** ms a key is held. */
const HELD = 60 * 60 * 1000;

/** Makes messages like one of solotask's: the same body, properties and headers, with an id and a number of their own. */
function copies({ content, properties }, number) {
  const [before, after] = content.toString().split(String(number));
  const { headers, contentType, contentEncoding } = properties;
  const key = headers.lock_key?.replace(String(number), '');
  return (i) => {
    const id = randomUUID();
    const own = { ...headers, id, root_id: id, argsrepr: `[${i}]`, copy: id };
    if (key !== undefined) own.lock_key = key + i;
    const timestamp = Math.floor(Date.now() / 1000);
    const ids = { correlationId: id, messageId: id };
    const options = {
      contentType,
      contentEncoding,
      ...ids,
      timestamp,
      headers: own,
      persistent: true,
      mandatory: true,
    };
    return { id, body: Buffer.from(before + i + after), options };
  };
}

/** Which task a message is. */
export const numberOf = ({ content }) => JSON.parse(content)[0][0];

export class Side {
  #connection;
  redis;
  #channel;
  #make = {};

  async open({ amqpUrl, redisUrl, bare }) {
    this.#connection = await amqplib.connect(amqpUrl, { noDelay: true });
    this.#channel = await this.#connection.createConfirmChannel();
    this.redis = new Redis(redisUrl, { enableAutoPipelining: true });
    this.bare = bare;
  }

  /** Takes a message that solotask has put into the queue, the task `number`, as the model of its own. */
  async learn({ method, number }) {
    const message = await this.#channel.get(QUEUE);
    this.#channel.ack(message);
    const copy = copies(message, number);
    const naked = (i) => ({ ...copy(i), options: { persistent: true, mandatory: true } });
    this.#make[method] = this.bare ? naked : copy;
    return message.content.length;
  }

  #publish({ body, options }) {
    return new Promise((resolve, reject) => {
      this.#channel.sendToQueue(QUEUE, body, options, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Whether the key was free; `id` holds it then. */
  async #take(i, id) {
    return (await this.redis.set(keyOf(i), id, 'PX', HELD, 'NX')) === 'OK';
  }

  enqueue({ method, ...numbers }) {
    return time(numbers, async (i) => {
      const message = this.#make[method](i);
      const free = method !== 'unique' || (await this.#take(i, message.id));
      if (!free) throw new Error(`the key ${i} was taken`);
      await this.#publish(message);
    });
  }

  duplicates(numbers) {
    return time(numbers, async (i) => {
      if (await this.#take(i, randomUUID())) throw new Error(`the key ${i} was free`);
    });
  }

  /** What a delivery is for: the side by hand does more. */
  run(message, channel, tally) {
    tally.count(numberOf(message));
    channel.ack(message);
  }

  async work(numbers) {
    const tally = new Tally(numbers);
    const channel = await this.#connection.createChannel();
    await channel.prefetch(CONCURRENCY);
    const { consumerTag } = await channel.consume(QUEUE, (message) => this.run(message, channel, tally));
    await tally.complete;
    // Acknowledgements may get lost when a channel is closed right after them; the answer to a cancel comes after them.
    await channel.cancel(consumerTag);
    await channel.close();
    return tally.read();
  }

  async latency({ count }) {
    let started;
    const channel = await this.#connection.createChannel();
    const { consumerTag } = await channel.consume(QUEUE, (message) => {
      started();
      channel.ack(message);
    });
    const figures = await latencies(count, (i, stamp) => {
      started = stamp;
      return this.#publish(this.#make.plain(i));
    });
    await channel.cancel(consumerTag);
    await channel.close();
    return figures;
  }

  peakMemory() {
    return peakMemory();
  }

  async close() {
    await this.#connection?.close();
    await this.redis?.quit();
  }
}
