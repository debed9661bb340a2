import type { Signals } from './signals.js';
import type { LinkState, TransportHealth } from './transport.js';

/** Whether work gets done here. */
export interface Health {
  readonly ready: boolean;
  /** Why not, a sentence each; empty when it is. */
  readonly reasons: readonly string[];
}

/** What an app knows of itself. */
export interface Condition {
  /** `opened`: its links have been; a lost one is mended from then on. */
  readonly stage: 'new' | 'opening' | 'opened' | 'closed';
  /** How each of its workers stands that was started and has not stopped. */
  readonly workers: readonly string[];
}

const because = (reason: string | undefined): string => (reason === undefined ? '' : `: ${reason}`);

/** How the servers stand, as far as is known without asking them. */
export class Vitals {
  readonly #broker: () => TransportHealth | undefined;
  #redis: Error | undefined;

  /** `broker`: undefined while no link has been opened. */
  constructor(signals: Signals, broker: () => TransportHealth | undefined) {
    this.#broker = broker;
    signals.on('redis:unavailable', ({ error }) => (this.#redis = error));
  }

  /** No link is known to be lost. */
  get brokerUp(): boolean {
    return this.#links('down').length === 0 && this.#links('refused').length === 0;
  }

  get brokerBlocked(): boolean {
    return this.#links('blocked').length > 0;
  }

  /** Redis is not known to be away. */
  get redisUp(): boolean {
    return this.#redis === undefined;
  }

  /** What is wrong, a sentence each. */
  get troubles(): readonly string[] {
    const why = because(this.#broker()?.reason);
    const links = (state: LinkState, text: string): string[] => {
      const names = this.#links(state);
      return names.length === 0 ? [] : [`${text} (${names.join(', ')})${why}`];
    };
    return [
      ...links('refused', 'RabbitMQ refuses this process'),
      ...links('down', 'RabbitMQ is disconnected, and is being connected to again'),
      ...links('blocked', 'RabbitMQ takes no messages, for it has raised an alarm'),
      ...(this.#redis === undefined ? [] : [`Redis is not available${because(this.#redis.message)}`]),
    ];
  }

  #links(state: LinkState): readonly string[] {
    const broker = this.#broker();
    if (broker === undefined) return [];
    return (['publish', 'consume'] as const).filter((link) => broker[link] === state);
  }
}

/** Why a worker in such a state takes no work. */
const WORKERS: Readonly<Record<string, string>> = {
  starting: 'a worker is starting',
  detached: 'a worker has lost a consumer, and is attaching it again',
  draining: 'a worker is stopping and takes no more work',
};

/** Why an app that has no links gets nothing done. */
const STAGES: Readonly<Record<string, string>> = {
  new: 'the app is not connected yet: connect() or the first use does it',
  opening: 'the app is connecting to RabbitMQ and Redis',
  closed: 'the app is closed',
};

/** The health of an app. */
export function healthOf(vitals: Vitals, { stage, workers }: Condition): Health {
  const unopened = STAGES[stage];
  if (unopened !== undefined) return { ready: false, reasons: [unopened] };
  const troubles = workers.flatMap((state) => WORKERS[state] ?? []);
  const reasons = [...vitals.troubles, ...new Set(troubles)];
  return { ready: reasons.length === 0, reasons };
}
