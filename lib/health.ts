import type { Signals } from './signals.js';

/** Whether work gets done here. */
export interface Health {
  readonly ready: boolean;
  /** Why not, a sentence each; empty when it is. */
  readonly reasons: readonly string[];
}

/** What an app knows of itself. */
export interface Condition {
  /** Its links have been opened. */
  readonly opened: boolean;
  readonly closed: boolean;
  /** How each of its workers stands that was started and has not stopped. */
  readonly workers: readonly string[];
}

const because = (error: Error | undefined): string => (error === undefined ? '' : `: ${error.message}`);

/** What the servers were last heard to do. */
export class Vitals {
  readonly #down = new Map<'publish' | 'consume', Error | undefined>();
  #blocked: string | undefined;
  #redis: Error | undefined;

  constructor(signals: Signals) {
    signals.on('broker:connected', ({ link }) => void this.#down.delete(link));
    signals.on('broker:disconnected', ({ link, error }) => void this.#down.set(link, error));
    signals.on('broker:blocked', ({ blocked, reason }) => {
      this.#blocked = blocked ? (reason ?? 'no reason given') : undefined;
    });
    signals.on('redis:unavailable', ({ error }) => (this.#redis = error));
  }

  /** No link is known to be lost. */
  get brokerUp(): boolean {
    return this.#down.size === 0;
  }

  get brokerBlocked(): boolean {
    return this.#blocked !== undefined;
  }

  /** Redis is not known to be away. */
  get redisUp(): boolean {
    return this.#redis === undefined;
  }

  /** What is wrong, a sentence each. */
  get troubles(): readonly string[] {
    const lost = [...this.#down].map(([link, error]) => `RabbitMQ is disconnected (${link})${because(error)}`);
    const blocked = this.#blocked === undefined ? [] : [`RabbitMQ takes no messages: ${this.#blocked}`];
    const redis = this.#redis === undefined ? [] : [`Redis is not available${because(this.#redis)}`];
    return [...lost, ...blocked, ...redis];
  }
}

/** Why a worker in such a state takes no work. */
const WORKERS: Readonly<Record<string, string>> = {
  starting: 'a worker is starting',
  detached: 'a worker has lost a consumer, and is attaching it again',
  draining: 'a worker is stopping and takes no more work',
};

/** The health of an app. */
export function healthOf(vitals: Vitals, { opened, closed, workers }: Condition): Health {
  if (closed) return { ready: false, reasons: ['the app is closed'] };
  if (!opened) return { ready: false, reasons: ['the app is not connected yet: connect() or the first use does it'] };
  const troubles = workers.flatMap((state) => WORKERS[state] ?? []);
  const reasons = [...vitals.troubles, ...new Set(troubles)];
  return { ready: reasons.length === 0, reasons };
}
