import { pause, type Clock, type Timer } from '../clock.js';
import type { Slots } from './slots.js';

/** What the seats of one worker share. */
export interface SeatParts {
  readonly clock: Clock;
  readonly slots: Slots;
  /** How many deliveries may wait for a lock at once, outside the concurrency. */
  readonly waitingRoom: { free: number };
  /** Aborts when the worker takes no more work: nobody waits any longer then. */
  readonly draining: AbortSignal;
}

/**
 * The longest wait for a seat, ms. The broker takes back what is not acknowledged in time (30 minutes by default), and
 * everything else of that channel with it; and another worker may have a seat to give.
 */
const PATIENCE = 300_000;

/** A delivery's place in the concurrency. It is left while the delivery waits for somebody else's lock. */
export class Seat {
  readonly #parts: SeatParts;
  #taken = false;

  constructor(parts: SeatParts) {
    this.#parts = parts;
  }

  /** False when no seat became free in five minutes: the delivery had better go back. */
  async take(): Promise<boolean> {
    this.#taken = await new Promise((resolve) => {
      const { slots, clock } = this.#parts;
      const taken = (): void => {
        patience?.cancel();
        resolve(true);
      };
      if (slots.take(taken)) return resolve(true);
      const patience: Timer | undefined = clock.after(PATIENCE, () => {
        slots.leave(taken);
        resolve(false);
      });
    });
    return this.#taken;
  }

  leave(): void {
    if (this.#taken) this.#parts.slots.give();
    this.#taken = false;
  }

  /** Waits outside the concurrency, then takes a place again. False, at once, when too many wait already; and when there is none. */
  async wait(ms: number): Promise<boolean> {
    const { clock, waitingRoom, draining } = this.#parts;
    if (waitingRoom.free === 0) return false;
    const hadSeat = this.#taken;
    waitingRoom.free--;
    this.leave();
    await pause(clock, ms, draining);
    waitingRoom.free++;
    return !hadSeat || (await this.take());
  }
}
