import type { Clock, Timer } from '../clock.js';
import type { Guard, Identity } from '../guard.js';
import { PUBLISH_WINDOW } from '../declarations/uniqueness.js';

/** A publish under way, whose key is taken for it. */
interface Window {
  readonly record: string;
  readonly identity: Identity;
  /** By `clock.monotonic()`: of the claim, or of the last time that it was extended. */
  since: number;
}

/** How often windows are looked at, ms; one is extended three times before it would end. */
const LOOK = PUBLISH_WINDOW / 6;

/**
 * While a message is being published again and again, its key must not fall to a newcomer. Most publishes are over in
 * milliseconds: one timer looks after all of them.
 */
export class PublishWindows {
  readonly #clock: Clock;
  readonly #guard: Guard;
  readonly #open = new Set<Window>();
  #timer: Timer | undefined;

  constructor({ clock, guard }: { clock: Clock; guard: Guard }) {
    this.#clock = clock;
    this.#guard = guard;
  }

  /** From now on until the returned function is called. */
  keepOpen(record: string, identity: Identity): () => void {
    const window: Window = { record, identity, since: this.#clock.monotonic() };
    this.#open.add(window);
    this.#timer ??= this.#clock.after(LOOK, () => this.#look());
    return () => {
      this.#open.delete(window);
      if (this.#open.size === 0) this.#rest();
    };
  }

  #look(): void {
    this.#timer = this.#clock.after(LOOK, () => this.#look());
    const now = this.#clock.monotonic();
    for (const window of this.#open) {
      if (now - window.since < LOOK) continue;
      window.since = now;
      void this.#guard.extendPublishing(window.record, window.identity, PUBLISH_WINDOW);
    }
  }

  #rest(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
