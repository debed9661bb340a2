import type { Clock, Timer } from '../clock.js';
import { LONG } from '../declarations/task-settings.js';
import type { Claimer } from './claim.js';
import type { Run } from './run.js';
import type { StandIns } from './stand-ins.js';

/** What it takes to look for long runs. */
export interface RoundParts {
  readonly clock: Clock;
  readonly claimer: Claimer;
  readonly standIns: StandIns;
  /** Deliveries under way. */
  readonly runs: () => Iterable<Run>;
}

/** ms between two looks: a message costs nothing, whatever the load. */
const LOOK = 60_000;

/** Looks for runs that take longer than anybody said, and hands them over before the broker takes their messages back. */
export class Rounds {
  readonly #parts: RoundParts;
  #timer: Timer | undefined;

  constructor(parts: RoundParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = this.#parts.clock.after(LOOK, () => this.#go(), { idle: true });
  }

  end(): void {
    this.#timer?.cancel();
  }

  #go(): void {
    const { runs, standIns, claimer } = this.#parts;
    this.start();
    for (const run of runs()) {
      if (run.handingOver !== undefined || !this.#isLate(run)) continue;
      run.handingOver = standIns.postLate(run, claimer).finally(() => (run.handingOver = undefined));
    }
  }

  #isLate(run: Run): boolean {
    if (run.stage !== 'running' || run.definition?.acksLate !== true) return false;
    return !run.delivery.stale && run.aborted === undefined && run.age(this.#parts.clock) >= LONG;
  }
}
