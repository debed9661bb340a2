import { deadLetter } from '../celery-protocol.js';
import type { Clock, Timer } from '../clock.js';
import { toError, UnroutableError } from '../errors.js';
import type { Frame } from '../message.js';
import { deadQueue, type Delivery, type DeliveryHandler, type Outgoing, type TransportEvents } from '../transport.js';
import { settled } from './promises.js';
import { CLOSE_TIMEOUT } from './rabbitmq-channel.js';

/** What a relay needs to know. */
export interface RelaySettings {
  readonly clock: Clock;
  /** The due queue. */
  readonly queue: string;
  /** `Transport.publish`; it tries no longer once `over` has aborted. */
  readonly publish: (outgoing: Outgoing, over: AbortSignal) => Promise<void>;
  /** Told of what it drops. */
  readonly expired: NonNullable<TransportEvents['expired']>;
}

/** ms; the relay tries for as long as the message is its own. */
const PUBLISH_TIMEOUT = 30_000;
/** ms; below it a message waits here, for there is no rung so short. */
const SHORTEST_RUNG = 1_000;
/** ms between two tries of a message that the broker does not take. */
const AGAIN = 1_000;

/** Epoch ms that a header says. */
function moment({ headers }: Frame, name: string): number | undefined {
  const value = headers[name];
  return typeof value === 'number' ? value : undefined;
}

/**
 * Takes messages from the due queue: what is due is published to its work queue, the rest to the next rung; confirmed
 * before the original is acknowledged, so that a crash between doubles a message rather than losing it.
 */
export class Relay implements DeliveryHandler {
  readonly #settings: RelaySettings;
  readonly #waiting = new Map<Timer, Delivery>();
  readonly #moving = new Set<Promise<void>>();
  readonly #over = new AbortController();
  #closed = false;

  constructor(settings: RelaySettings) {
    this.#settings = settings;
  }

  deliver(delivery: Delivery): void {
    const due = moment(delivery.frame, 'due');
    const remaining = due === undefined ? 0 : due - this.#settings.clock.now();
    if (remaining <= 0 || remaining >= SHORTEST_RUNG) this.#move(delivery);
    else this.#later(remaining, delivery, () => this.#move(delivery));
  }

  /** It has a message in hand that goes on at once. */
  get busy(): boolean {
    return this.#moving.size > 0;
  }

  lost(): void {
    for (const timer of this.#waiting.keys()) timer.cancel();
    this.#waiting.clear();
  }

  /** Puts back what waits here for its moment, and what cannot be sent on its way in a moment. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const delivery of this.#waiting.values()) delivery.requeue();
    this.lost();
    await settled(this.#settings.clock, CLOSE_TIMEOUT, Promise.all(this.#moving));
    this.#over.abort();
    await Promise.all(this.#moving);
  }

  #later(ms: number, delivery: Delivery, run: () => void): void {
    const timer = this.#settings.clock.after(ms, () => {
      this.#waiting.delete(timer);
      run();
    });
    this.#waiting.set(timer, delivery);
  }

  #move(delivery: Delivery): void {
    const moving = this.#publish(delivery)
      .then(() => void delivery.ack())
      .catch(() => this.#again(delivery))
      .finally(() => this.#moving.delete(moving));
    this.#moving.add(moving);
  }

  #again(delivery: Delivery): void {
    if (this.#closed) delivery.requeue();
    else this.#later(AGAIN, delivery, () => delivery.requeue());
  }

  async #publish(delivery: Delivery): Promise<void> {
    const { frame } = delivery;
    const { due_queue: queue } = frame.headers;
    if (typeof queue !== 'string') return this.#bury(delivery, 'it names no queue to go to');
    const [due, expires] = [moment(frame, 'due'), moment(frame, 'due_expires')];
    if (expires !== undefined && expires <= this.#settings.clock.now()) {
      return this.#settings.expired(frame, queue, expires);
    }
    const outgoing = { queue, frame, due, expires, timeout: PUBLISH_TIMEOUT };
    try {
      await this.#settings.publish(outgoing, this.#over.signal);
    } catch (error) {
      if (!(error instanceof UnroutableError)) throw error;
      await this.#bury(delivery, toError(error).message);
    }
  }

  /** Around and around would be the fate of a message that no queue takes. */
  #bury({ frame }: Delivery, reason: string): Promise<void> {
    const { queue, clock, publish } = this.#settings;
    const from = frame.headers['due_queue'];
    const letter = { code: 'UNROUTABLE', reason, at: clock.now(), queue: typeof from === 'string' ? from : queue };
    const outgoing = { queue: deadQueue(queue), frame: deadLetter(frame, letter), timeout: PUBLISH_TIMEOUT };
    return publish(outgoing, this.#over.signal);
  }
}
