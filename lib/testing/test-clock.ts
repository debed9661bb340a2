import { pause, systemClock, type Clock, type Timer } from '../clock.js';

/** A timer that fires when its time has come, or was skipped to. */
interface Alarm {
  /** By `monotonic()`. */
  readonly at: number;
  fire(): void;
}

/** A timer that lies further ahead must not keep the process of a finished suite alive, ms: such time is skipped. */
const NEAR = 1_000;

/** A clock that can be put forward. Timers fire after their real time, or in its order when it is skipped. */
export class TestClock implements Clock {
  readonly #alarms = new Set<Alarm>();
  #skipped = 0;
  #wall = systemClock.now();
  #skipping: Promise<void> | undefined;

  /** Stands still but for what is skipped, so that a delay of a week is a week to the millisecond. */
  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return systemClock.monotonic() + this.#skipped;
  }

  after(ms: number, fire: () => void, options?: { idle?: boolean }): Timer {
    // Nobody waits for an idle timer: a look every second would make a week long.
    if (options?.idle === true) return systemClock.after(ms, fire, options);
    const cancel = (): void => {
      timer.cancel();
      this.#alarms.delete(alarm);
    };
    const ring = (): void => {
      cancel();
      fire();
    };
    const alarm: Alarm = { at: this.monotonic() + Math.max(0, ms), fire: ring };
    const timer = systemClock.after(ms, ring, { idle: ms > NEAR });
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
    return (this.#skipping ??= this.#skip(ms).finally(() => (this.#skipping = undefined)));
  }

  async #skip(ms: number): Promise<void> {
    const [wall, begin] = [this.#wall, this.monotonic()];
    const reach = (at: number): void => {
      this.#skipped += Math.max(0, at - this.monotonic());
      this.#wall = Math.max(this.#wall, wall + Math.round(at - begin));
    };
    for (let alarm = this.#first(); alarm !== undefined && alarm.at <= begin + ms; alarm = this.#first()) {
      reach(alarm.at);
      alarm.fire();
      // What it sets off may set timers that come before the next: a lease that is renewed, say.
      await pause(systemClock, 0);
    }
    reach(begin + ms);
  }

  #first(): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms) if (first === undefined || alarm.at < first.at) first = alarm;
    return first;
  }
}
