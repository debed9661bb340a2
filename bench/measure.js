// Counting and timing, the same for all sides.
import { performance } from 'node:perf_hooks';

/** Operations under way at a time. */
export const IN_FLIGHT = 1_000;
/** Tasks that a worker runs at a time. */
export const CONCURRENCY = 100;

/** Runs `operate` for 0, 1, … `operations` - 1, at most 1,000 at a time. */
async function pool(operations, operate) {
  let next = 0;
  const lane = async () => {
    while (next < operations) await operate(next++);
  };
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, operations) }, lane));
}

/** Since it was made: operations per second, and µs of this process's CPU for each. */
export function stopwatch() {
  const cpu = process.cpuUsage();
  const begin = performance.now();
  return (operations) => {
    const seconds = (performance.now() - begin) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    return { value: operations / seconds, cpu: (user + system) / operations };
  };
}

/** How fast `operate` is, for `first`, `first + 1`, …; nobody looks at the first `warm` of these `operations`. */
export async function time({ first, operations, warm = 0 }, operate) {
  globalThis.gc?.();
  await pool(warm, (i) => operate(first + i));
  const read = stopwatch();
  await pool(operations - warm, (i) => operate(first + warm + i));
  return read(operations - warm);
}

/** Who has run, of the tasks `first` to `first + operations - 1`; its watch starts when `warm` of them have, or with the first. */
export class Tally {
  #first;
  #runs;
  #left;
  #warm;
  #done;
  #watch;
  complete = new Promise((resolve) => (this.#done = resolve));

  constructor({ first, operations, warm = 0 }) {
    globalThis.gc?.();
    this.#first = first;
    this.#runs = new Uint8Array(operations);
    this.#left = operations;
    this.#warm = warm;
  }

  count(i) {
    if (this.#runs.length - this.#left === this.#warm) this.#watch ??= stopwatch();
    const place = i - this.#first;
    if (!(place >= 0 && place < this.#runs.length)) throw new Error(`the task ${i} is of another row`);
    if (this.#runs[place]++ === 0 && --this.#left === 0) this.#done();
  }

  /** The figures until now. Nothing was lost, or `complete` would still wait. */
  read() {
    const figures = this.#watch(this.#runs.length - this.#warm);
    const twice = this.#runs.filter((runs) => runs !== 1).length;
    if (twice > 0) throw new Error(`${twice} of ${this.#runs.length} tasks ran more than once`);
    return figures;
  }
}

/** The most memory that this process ever held, MB. */
export const peakMemory = () => process.resourceUsage().maxRSS / 1024;
