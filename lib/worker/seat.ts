import { pause, type Clock } from '../clock.js';
import { after, type Soon } from '../soon.js';
import type { Places } from './slots.js';

/** What the seats of one queue share. */
export interface SeatParts {
  readonly clock: Clock;
  readonly slots: Places;
  /** How many deliveries may wait for a lock at once, outside the concurrency. */
  readonly waitingRoom: { free: number };
  /** Aborts when the worker takes no more work: nobody waits any longer then. */
  readonly draining: AbortSignal;
}

/**
 * The longest wait for a seat, ms. The broker takes back what is not acknowledged in time (30 minutes by default), and
 * everything else of that channel with it; and another worker may have a seat to give.
 */
export const PATIENCE = 300_000;

/** A delivery's place in the concurrency. It is left while the delivery waits for somebody else's lock. */
export class Seat {
  readonly #parts: SeatParts;
  #taken = false;

  constructor(parts: SeatParts) {
    this.#parts = parts;
  }

  /** False when no seat became free in five minutes: the delivery had better go back. */
  take(): Soon<boolean> {
    const place = this.#parts.slots.take();
    return after(place === undefined || this.#inTime(place), (taken) => (this.#taken = taken));
  }

  /** A place that comes too late is for the next. */
  #inTime(place: Promise<void>): Promise<boolean> {
    const { clock, slots } = this.#parts;
    return new Promise((resolve) => {
      const patience = { over: false };
      const timer = clock.after(PATIENCE, () => {
        patience.over = true;
        resolve(false);
      });
      void place.then(() => {
        timer.cancel();
        if (patience.over) slots.give();
        else resolve(true);
      });
    });
  }

  leave(): void {
    if (this.#taken) this.#parts.slots.give();
    this.#taken = false;
  }

  /** Waits outside the concurrency, then takes a place again. False when there is none, or too many wait already. */
  async wait(ms: number): Promise<boolean> {
    const { clock, waitingRoom, draining } = this.#parts;
    if (waitingRoom.free === 0) return false;
    const hadSeat = this.#taken;
    waitingRoom.free--;
    this.leave();
    await pause(clock, ms, draining);
    waitingRoom.free++;
    return !hadSeat || this.take();
  }
}
