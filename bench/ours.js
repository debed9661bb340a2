// The rows as solotask does them: an app, its producer and its worker, nothing left out.
import { setImmediate as turn } from 'node:timers/promises';
import { createApp, Task } from 'solotask';
import { pool, Tally } from './measure.js';

export const QUEUE = 'solotask-bench';
export const CONCURRENCY = 100;

/** Set afresh for each row of work; the bodies are empty but for it. */
let tally;

class Bench {
  plain(i) {
    tally.count(i);
  }

  unique(i) {
    tally.count(i);
  }
}

function declare(method, options) {
  const descriptor = Object.getOwnPropertyDescriptor(Bench.prototype, method);
  Task({ name: `bench.${method}`, queue: QUEUE, acksLate: true, ...options })(Bench.prototype, method, descriptor);
}

declare('plain', {});
declare('unique', { unique: 'bench:<i>' });

export class Ours {
  #app;

  constructor({ amqpUrl, redisUrl }) {
    this.#app = createApp({ broker: amqpUrl, locks: redisUrl, services: [Bench] });
  }

  async open() {
    await this.#app.connect();
  }

  /** Enqueues the tasks `first`, `first + 1`, …; every one is new. */
  async enqueue(method, first, operations) {
    const stub = this.#app.tasks(Bench);
    const statuses = {};
    await pool(operations, async (i) => {
      const { status } = await stub[method](first + i);
      statuses[status] = (statuses[status] ?? 0) + 1;
    });
    if (statuses.enqueued !== operations) throw new Error(`not all were enqueued: ${JSON.stringify(statuses)}`);
  }

  /** Runs them all, each exactly once; every acknowledgement is with the broker then. */
  async work(first, operations) {
    tally = new Tally(first, operations);
    const worker = this.#app.worker({ queues: [QUEUE], concurrency: CONCURRENCY });
    await worker.start();
    await tally.complete;
    while (worker.running > 0) await turn();
    await worker.stop();
    tally.check();
  }

  async close() {
    await this.#app.close();
  }
}
