// Counting and timing, the same for all rows.
import { performance } from 'node:perf_hooks';

const IN_FLIGHT = 1_000;

/** Runs `operate` for 0, 1, … `operations` - 1, at most 1,000 at a time. */
export async function pool(operations, operate) {
  let next = 0;
  const lane = async () => {
    while (next < operations) await operate(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
}

/** Who has run, of the tasks `first` to `first + operations - 1`. */
export class Tally {
  #first;
  #runs;
  #left;
  #done;
  complete = new Promise((resolve) => (this.#done = resolve));

  constructor(first, operations) {
    this.#first = first;
    this.#runs = new Uint8Array(operations);
    this.#left = operations;
  }

  count(i) {
    if (this.#runs[i - this.#first]++ === 0 && --this.#left === 0) this.#done();
  }

  /** Nothing was lost, or `complete` would still wait. */
  check() {
    const twice = this.#runs.filter((runs) => runs !== 1).length;
    if (twice > 0) throw new Error(`${twice} of ${this.#runs.length} tasks ran more than once`);
  }
}

/** How fast `run` is: operations per second, and µs of this process's CPU for each. */
export async function time(operations, run) {
  globalThis.gc?.();
  const cpu = process.cpuUsage();
  const begin = performance.now();
  await run();
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { rate: operations / seconds, cpu: (user + system) / operations };
}

export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
