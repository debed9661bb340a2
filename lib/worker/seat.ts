import { pause, type Clock } from '../clock.js';
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

/** A delivery's place in the concurrency. It is left while the delivery waits for somebody else's lock. */
export class Seat {
  readonly #parts: SeatParts;
  #taken = false;

  constructor(parts: SeatParts) {
    this.#parts = parts;
  }

  async take(): Promise<void> {
    await this.#parts.slots.take();
    this.#taken = true;
  }

  leave(): void {
    if (this.#taken) this.#parts.slots.give();
    this.#taken = false;
  }

  /** Waits outside the concurrency, then takes a place again. False, at once, when too many wait already. */
  async wait(ms: number): Promise<boolean> {
    const { clock, waitingRoom, draining } = this.#parts;
    if (waitingRoom.free === 0) return false;
    const hadSeat = this.#taken;
    waitingRoom.free--;
    this.leave();
    await pause(clock, ms, draining);
    waitingRoom.free++;
    if (hadSeat) await this.take();
    return true;
  }
}
