import { pause, systemClock, type Clock, type Timer } from '../clock.js';

/** A timer that fires when its time has come, or was skipped to. */
interface Alarm {
  /** By `monotonic()`. */
  readonly at: number;
  fire(): void;
}

/** A timer that lies further ahead must not keep the process of a finished suite alive, ms: such time is skipped. */
const NEAR = 1_000;

/** The machine's clock, which can be put forward: timers fire at their time, or in its order when it is skipped. */
export class TestClock implements Clock {
  readonly #alarms = new Set<Alarm>();
  #skipped = 0;
  #skipping: Promise<void> | undefined;

  /** Whole, as messages carry it. */
  now(): number {
    return Math.floor(systemClock.now() + this.#skipped);
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#skipped;
  }

  after(ms: number, fire: () => void, options?: { idle?: boolean }): Timer {
    const cancel = (): void => {
      timer.cancel();
      this.#alarms.delete(alarm);
    };
    const ring = (): void => {
      cancel();
      fire();
    };
    const alarm: Alarm = { at: this.monotonic() + Math.max(0, ms), fire: ring };
    const timer = systemClock.after(ms, ring, { idle: options?.idle === true || ms > NEAR });
    this.#alarms.add(alarm);
    return { cancel };
  }

  random(): number {
    return systemClock.random();
  }

  uuid(): string {
    return systemClock.uuid();
  }

  /** How far ahead the next timer is, ms; undefined when there is none. */
  get next(): number | undefined {
    const first = this.#first();
    return first === undefined ? undefined : Math.max(0, first.at - this.monotonic());
  }

  /** Puts the clock forward. While it is being put forward, another call waits for that and skips nothing. */
  skip(ms: number): Promise<void> {
    return (this.#skipping ??= this.#skip(this.monotonic() + ms).finally(() => (this.#skipping = undefined)));
  }

  async #skip(end: number): Promise<void> {
    for (let alarm = this.#first(); alarm !== undefined && alarm.at <= end; alarm = this.#first()) {
      this.#reach(alarm.at);
      alarm.fire();
      // What it sets off may set timers that come before the next: a lease that is renewed, say.
      await pause(systemClock, 0);
    }
    this.#reach(end);
  }

  #reach(at: number): void {
    this.#skipped += Math.max(0, at - this.monotonic());
  }

  #first(): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms) if (first === undefined || alarm.at < first.at) first = alarm;
    return first;
  }
}
