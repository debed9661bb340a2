import { type Clock, pause } from '../clock.js';

/** What a subscription has received. */
export interface Received {
  /** Deliveries so far. */
  readonly received: number;
  readonly unsettled: number;
}

/** What a watchdog needs to know. */
export interface WatchdogSettings {
  readonly clock: Clock;
  readonly deliveries: Received;
  /** Messages that wait in the queue. Never rejects: 0 when nobody can say. */
  readonly waiting: () => Promise<number>;
}

/** ms; nothing came for so long: is there anything? */
const IDLE = 20_000;
/** How often the wait may double. */
const MOST_DOUBLINGS = 5;
/** ms between two looks: what was ready at the first may have been on its way. */
const SECOND_LOOK = 1_000;

/**
 * Resolves to true once a subscription idles beside messages: the broker has forgotten it, as happens when a notice of
 * its cancel is lost, or when a quorum queue loses count of what its consumer may have. False when `over` aborts first.
 *
 * @param vain how often it was right in a row and building the subscription again changed nothing. A standby of a queue
 * with a single active consumer idles for good reason, and must not be rebuilt all the time.
 */
export async function idlesBesideWork(settings: WatchdogSettings, vain: number, over: AbortSignal): Promise<boolean> {
  const { clock, deliveries, waiting } = settings;
  const patience = IDLE * 2 ** Math.min(vain, MOST_DOUBLINGS);
  while (!over.aborted) {
    const before = deliveries.received;
    const idle = (): boolean => !over.aborted && deliveries.received === before && deliveries.unsettled === 0;
    await pause(clock, patience, over);
    if (!idle() || (await waiting()) === 0) continue;
    await pause(clock, SECOND_LOOK, over);
    if (idle() && (await waiting()) > 0 && idle()) return true;
  }
  return false;
}
