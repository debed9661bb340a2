// Many events over few keys, on any side: what was accepted, what ran, and when all was quiet.
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { pool, time } from './measure.js';

/** How long a body takes, ms. */
export const BODY = 5;
/** ms without a run; then none is to come. */
const QUIET = 500;

/** Spreads numbers evenly and without a pattern, the same way each time. */
const spread = (i) => Math.imul(i ^ (i >>> 15), 0x9e37_79b1) >>> 8;

export class Burst {
  #events;
  #called;
  #started;
  #running;
  #accepted = 0;
  #runs = 0;
  #met = 0;
  #begin;
  #last = 0;
  #figures;

  constructor({ events, keys }) {
    this.#events = events;
    this.#called = new Float64Array(keys);
    this.#started = new Float64Array(keys);
    this.#running = new Uint8Array(keys);
  }

  /** `send` says whether a run was enqueued for this event. */
  async enqueue(send) {
    const keys = this.#called.length;
    this.#begin = performance.now();
    this.#figures = await time(this.#events, () =>
      pool(this.#events, async (i) => {
        const key = spread(i) % keys;
        this.#called[key] = performance.now();
        if (await send(key, i)) this.#accepted += 1;
      }),
    );
  }

  /** A body begins; gives what is to be called at its end. */
  start(key) {
    this.#runs += 1;
    if (this.#running[key]++ > 0) this.#met += 1;
    this.#started[key] = this.#last = performance.now();
    return () => {
      this.#running[key] -= 1;
      this.#last = performance.now();
    };
  }

  get runs() {
    return this.#runs;
  }

  /** Resolves when all that was enqueued has run and no more comes; `idle` says whether anything is under way. */
  async quiet(idle) {
    while (this.#runs < this.#accepted || !idle() || performance.now() - this.#last < QUIET) await sleep(10);
  }

  /** The figures, once it is quiet. `covered`: every event was promised a run that began after it. */
  read(covered) {
    const never = this.#started.filter((at, key) => this.#called[key] > 0 && at === 0).length;
    if (never > 0) throw new Error(`${never} keys of ${this.#started.length} never ran`);
    if (this.#met > 0) throw new Error(`${this.#met} runs began while another of their key was under way`);
    const missed = covered ? this.#started.filter((at, key) => at < this.#called[key]).length : 0;
    if (missed > 0) throw new Error(`${missed} keys did not run after their last event`);
    if (!covered && this.#runs !== this.#accepted) throw new Error(`${this.#runs} runs of ${this.#accepted} tasks`);
    return { accepted: this.#figures, runs: this.#runs, quiet: (this.#last - this.#begin) / 1000 };
  }
}
