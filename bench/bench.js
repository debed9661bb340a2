// One run: the processes of the sides, the rounds, and what they have measured.
import { performance } from 'node:perf_hooks';
import { Books } from './books.js';
import { Child } from './child.js';
import { sizesFor } from './rows.js';
import { resultOf } from './statistics.js';
import { burst, latency } from './suites/events.js';
import { flat, memory } from './suites/growth.js';
import { processes } from './suites/processes.js';
import { start } from './suites/start.js';
import { plain, unique } from './suites/throughput.js';

const SUITES = { plain, unique, burst, latency, flat, processes, memory, start };

/** Numbers of tasks that no earlier run has used: Redis remembers those for ten minutes. */
class Numbers {
  #next = Date.now() * 1000;

  take(count) {
    const first = this.#next;
    this.#next += count;
    return first;
  }
}

export class Bench {
  sides;
  sizes;
  say;
  numbers = new Numbers();
  books = new Books();
  /** Undefined where the user gave some. */
  servers;
  #options;
  #urls;
  #rows;
  #samples;

  constructor({ options, rows, sides, urls, servers, say }) {
    this.servers = servers;
    this.#options = options;
    this.#rows = rows;
    this.#urls = urls;
    this.#samples = new Map(rows.map(({ name }) => [name, new Map()]));
    this.sides = sides;
    this.sizes = sizesFor(options.operations);
    this.say = say;
  }

  async open() {
    await this.books.open(this.#urls);
    for (const side of Object.values(this.sides)) {
      const profile = side.name === 'ours' ? this.#options.profile : undefined;
      side.child = await this.start(side.name, side.settings, { profile });
      // As in production: who enqueues is not who works. A Celery worker is a process of its own anyway.
      side.worker = side.slow ? side.child : await this.start(side.name, side.settings, { profile });
    }
  }

  /** A process for a side, with its links open. */
  async start(name, settings, options) {
    const child = new Child(name, options);
    try {
      await child.call('open', { ...this.#urls, ...settings });
      return child;
    } catch (error) {
      await child.end().catch(() => {});
      throw error;
    }
  }

  /** Plays all suites that have a row, and gives the results of the rows. */
  async play() {
    for (const name of new Set(this.#rows.map(({ suite }) => suite))) await SUITES[name](this);
    return this.#rows.map((row) => resultOf(row, this.#samples.get(row.name)));
  }

  /**
   * Plays a round again and again, the first time to warm up. `turns` gives what takes turns, begun by another one in each
   * round: whatever else this machine does, hits all of them.
   */
  async rounds(name, play) {
    this.say(`${name}: `);
    const begin = performance.now();
    for (let round = 0; round <= this.#options.rounds; round++) {
      const turns = (entries) => entries.map((_, i) => entries[(i + round) % entries.length]);
      const record = (row, label, sample) => this.record(row, label, round === 0 ? [] : [sample]);
      await play({ turns, record });
      this.say(round === 0 ? 'warm' : ` ${round}`);
    }
    this.say(`, ${((performance.now() - begin) / 1000).toFixed(0)} s\n`);
  }

  /** Adds figures of a series to a row, if that is wanted. */
  record(row, label, samples) {
    const series = this.#samples.get(row);
    series?.set(label, [...(series.get(label) ?? []), ...samples]);
  }

  async close() {
    const sides = Object.values(this.sides);
    const failures = [];
    // One after the other: each tidies up behind itself.
    for (const child of new Set(sides.flatMap(({ child, worker }) => [worker, child]))) {
      await child?.end().catch((error) => failures.push(error));
    }
    await this.books.close();
    if (failures.length > 0) throw failures[0];
  }
}
