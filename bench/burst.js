// Many events over few keys: the books of the producer, of the worker, which is another process, and what both say together.
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { time } from './measure.js';

/** How long a body takes, ms. */
export const BODY = 5;
/** ms without a run; then none is to come. */
const QUIET = 500;

/** ms, by one clock for all processes. */
const now = () => performance.timeOrigin + performance.now();

/** Spreads numbers evenly and without a pattern, the same way each time. */
const spread = (i) => Math.imul(i ^ (i >>> 15), 0x9e37_79b1) >>> 8;

/** Calls `send(key, event)` for each event; it says whether a run was enqueued for it. */
export async function callBurst({ events, keys }, send) {
  const called = Array.from({ length: keys }, () => 0);
  let accepted = 0;
  const begin = now();
  const figures = await time({ first: 0, operations: events }, async (i) => {
    const key = spread(i) % keys;
    called[key] = now();
    if (await send(key, i)) accepted += 1;
  });
  return { begin, called, accepted, figures };
}

/** Who runs when. */
export class Runs {
  #started;
  #running;
  #count = 0;
  #met = 0;
  #last = now();

  constructor({ keys }) {
    this.#started = Array.from({ length: keys }, () => 0);
    this.#running = new Uint8Array(keys);
  }

  get count() {
    return this.#count;
  }

  /** A body of that key. */
  async run(key) {
    this.#count += 1;
    if (this.#running[key]++ > 0) this.#met += 1;
    this.#started[key] = this.#last = now();
    await sleep(BODY);
    this.#running[key] -= 1;
    this.#last = now();
  }

  /** Resolves when `expected` have run at least and no more comes; `idle` says whether nothing is under way. */
  async quiet(expected, idle) {
    while (this.#count < expected || !idle() || now() - this.#last < QUIET) await sleep(10);
  }

  read() {
    return { started: this.#started, count: this.#count, met: this.#met, last: this.#last };
  }
}

/** The figures of a burst that is over. `covered`: every event was promised a run that began after it. */
export function verdict({ begin, called, accepted, figures }, { started, count, met, last }, covered) {
  const never = started.filter((at, key) => called[key] > 0 && at === 0).length;
  if (never > 0) throw new Error(`burst: ${never} keys of ${started.length} never ran`);
  if (met > 0) throw new Error(`burst: ${met} runs began while another of their key was under way`);
  const missed = covered ? started.filter((at, key) => at < called[key]).length : 0;
  if (missed > 0) throw new Error(`burst: ${missed} keys did not run after their last event`);
  if (!covered && count !== accepted) throw new Error(`burst: ${count} runs of ${accepted} tasks`);
  return { accepted: figures, runs: count, quiet: (last - begin) / 1000 };
}
