// The rows as solotask does them: an app, its producer and its worker, nothing left out.
import { performance } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { createApp, Task } from '../../dist/lib/index.js';
import { callBurst, Runs } from '../burst.js';
import { latencies } from '../latency.js';
import { CONCURRENCY, peakMemory, Tally, time } from '../measure.js';

const QUEUE = 'solotask-bench';

/** What the bodies do; set for each row, so that they are empty but for it. */
let body;

class Bench {
  plain(i) {
    return body(i);
  }

  unique(i) {
    return body(i);
  }

  discard(key, event) {
    return body(key, event);
  }

  coalesce(key, event) {
    return body(key, event);
  }
}

function declare(method, options) {
  const descriptor = Object.getOwnPropertyDescriptor(Bench.prototype, method);
  Task({ name: `bench.${method}`, queue: QUEUE, acksLate: true, ...options })(Bench.prototype, method, descriptor);
}

declare('plain', {});
declare('unique', { unique: 'bench:<i>' });
declare('discard', { unique: 'bench:<key>' });
declare('coalesce', { unique: { key: 'bench:<key>', onDuplicate: 'coalesce' } });

const worker = (app) => app.worker({ queues: [QUEUE], concurrency: CONCURRENCY });

export class Side {
  #app;
  #worker;
  #runs;

  async open({ amqpUrl, redisUrl }) {
    this.#app = createApp({ broker: amqpUrl, locks: redisUrl, services: [Bench] });
    await this.#app.connect();
  }

  /** Enqueues the tasks `first`, `first + 1`, …; every one has the same end, `status`. */
  async enqueue({ method, status = 'enqueued', ...numbers }) {
    const stub = this.#app.tasks(Bench);
    let right = 0;
    const figures = await time(numbers, async (i) => {
      const receipt = await stub[method](i);
      if (receipt.status === status) right += 1;
    });
    const { operations } = numbers;
    if (right !== operations) throw new Error(`${right} receipts of ${operations} are '${status}'`);
    return figures;
  }

  duplicates(args) {
    return this.enqueue({ ...args, status: 'discarded' });
  }

  /** Runs them all, each exactly once; every acknowledgement is with the broker then. */
  async work(numbers) {
    const tally = new Tally(numbers);
    body = (i) => tally.count(i);
    const working = worker(this.#app);
    await working.start();
    await tally.complete;
    while (working.running > 0) await turn();
    await working.stop();
    return tally.read();
  }

  /** Runs what is in the queue, beside other processes: which tasks, and when the first began and the last ended, epoch ms. */
  async drain({ first, operations }) {
    const runs = Array.from({ length: operations }, () => 0);
    const now = () => performance.timeOrigin + performance.now();
    let begin;
    let end;
    body = (i) => {
      begin ??= now();
      runs[i - first] += 1;
      end = now();
    };
    const working = worker(this.#app);
    await working.start();
    await working.drained();
    await working.stop();
    return { runs, begin, end };
  }

  /** Runs some of those that wait, and gives the rest back. */
  async sip({ operations }) {
    let left = operations;
    const working = worker(this.#app);
    await new Promise((resolve, reject) => {
      body = () => --left === 0 && resolve();
      working.start().catch(reject);
    });
    const peak = peakMemory();
    await working.stop();
    return peak;
  }

  peakMemory() {
    return peakMemory();
  }

  async latency({ count }) {
    let started;
    body = () => started();
    const working = worker(this.#app);
    await working.start();
    const stub = this.#app.tasks(Bench);
    const figures = await latencies(count, (i, stamp) => {
      started = stamp;
      return stub.plain(i);
    });
    await working.stop();
    return figures;
  }

  callBurst({ mode, ...size }) {
    const stub = this.#app.tasks(Bench);
    return callBurst(size, async (key, event) => (await stub[mode](key, event)).status === 'enqueued');
  }

  /** Works until `endBurst`. */
  async workBurst(size) {
    this.#runs = new Runs(size);
    body = (key) => this.#runs.run(key);
    this.#worker = worker(this.#app);
    await this.#worker.start();
  }

  async endBurst({ expected }) {
    await this.#runs.quiet(expected, () => this.#worker.running === 0);
    await this.#worker.stop();
    return this.#runs.read();
  }

  async close() {
    await this.#app?.close();
  }
}
