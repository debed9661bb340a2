// The rows as BullMQ does them: a queue and a worker on the Redis that holds solotask's locks.
import { setImmediate as turn } from 'node:timers/promises';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { callBurst, Runs } from '../burst.js';
import { latencies } from '../latency.js';
import { CONCURRENCY, Tally, time } from '../measure.js';

const QUEUE = 'solotask-bench-bullmq';
/** Finished jobs are not kept: neither are solotask's messages. */
const OPTIONS = { removeOnComplete: true, removeOnFail: true };

/** Whether `id` was not there yet. */
function newcomer(ids, id) {
  const before = ids.size;
  return ids.add(id).size > before;
}

export class Side {
  #url;
  #queue;
  #clients = [];
  #working;
  #runs;

  #connect() {
    const client = new Redis(this.#url, { maxRetriesPerRequest: null });
    this.#clients.push(client);
    return client;
  }

  async open({ redisUrl }) {
    this.#url = redisUrl;
    this.#queue = new Queue(QUEUE, { connection: this.#connect() });
    await this.#queue.waitUntilReady();
    await this.#queue.obliterate({ force: true });
  }

  async #worker(run) {
    const worker = new Worker(QUEUE, run, { connection: this.#connect(), concurrency: CONCURRENCY });
    const counts = { completed: 0, failed: undefined };
    worker.on('completed', () => (counts.completed += 1));
    worker.on('failed', (_, error) => (counts.failed ??= error));
    await worker.waitUntilReady();
    return { worker, counts };
  }

  /** Every job is new. */
  async enqueue(args) {
    const ids = new Set();
    const figures = await this.#add(args, (job) => ids.add(job.id));
    if (ids.size !== args.operations) throw new Error(`${ids.size} jobs of ${args.operations} calls`);
    return figures;
  }

  duplicates(args) {
    return this.#add(args, () => {});
  }

  #add({ method, ...numbers }, added) {
    const unique = method === 'unique';
    return time(numbers, async (i) => {
      const options = unique ? { ...OPTIONS, deduplication: { id: `bench:${i}` } } : OPTIONS;
      added(await this.#queue.add(method, { i }, options));
    });
  }

  async work(numbers) {
    const tally = new Tally(numbers);
    const { worker, counts } = await this.#worker(async ({ data }) => tally.count(data.i));
    await tally.complete;
    while (counts.completed < numbers.operations && counts.failed === undefined) await turn();
    const figures = tally.read();
    await worker.close();
    if (counts.failed !== undefined) throw counts.failed;
    return figures;
  }

  /** Jobs that wait or run. */
  async ready() {
    const { waiting, active, delayed, prioritized } = await this.#queue.getJobCounts();
    return waiting + active + delayed + prioritized;
  }

  async latency({ count }) {
    let started;
    const { worker } = await this.#worker(async () => started());
    const figures = await latencies(count, (i, stamp) => {
      started = stamp;
      return this.#queue.add('plain', { i }, OPTIONS);
    });
    await worker.close();
    return figures;
  }

  callBurst({ mode, ...size }) {
    const active = mode === 'coalesce' ? { keepLastIfActive: true } : {};
    const ids = new Set();
    return callBurst(size, async (key, event) => {
      const options = { ...OPTIONS, deduplication: { id: `bench:${key}`, ...active } };
      return newcomer(ids, (await this.#queue.add(mode, { key, event }, options)).id);
    });
  }

  /** Works until `endBurst`. */
  async workBurst(size) {
    this.#runs = new Runs(size);
    this.#working = await this.#worker(({ data }) => this.#runs.run(data.key));
  }

  async endBurst({ expected }) {
    const { worker, counts } = this.#working;
    await this.#runs.quiet(expected, () => counts.failed !== undefined || counts.completed === this.#runs.count);
    await worker.close();
    if (counts.failed !== undefined) throw counts.failed;
    return this.#runs.read();
  }

  async close() {
    await this.#queue?.obliterate({ force: true });
    await this.#queue?.close();
    await Promise.all(this.#clients.map((client) => client.quit()));
  }
}
