import type { Clock } from '../clock.js';
import { BrokerUnavailableError } from '../errors.js';
import type { QueueDeclaration, Transport } from '../transport.js';

/** What the queues of a client are made of. */
export interface QueuesParts {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Declared, or looked up, when the app connected; by name. */
  readonly declared: ReadonlyMap<string, QueueDeclaration>;
}

/** The queues that single calls name: each is declared, or looked up, when it is used for the first time. */
export class Queues {
  readonly #parts: QueuesParts;
  readonly #declared = new Map<string, Promise<void>>();
  readonly #found = new Map<string, Promise<void>>();

  constructor(parts: QueuesParts) {
    this.#parts = parts;
  }

  /** Whether the app declares it. A passive queue, and any other that a task is sent to by name, is somebody else's. */
  owns(name: string): boolean {
    const known = this.#parts.declared.get(name);
    return known === undefined ? this.#declared.has(name) : known.passive !== true;
  }

  /**
   * Resolves when there is such a queue; undefined when the app has declared it. `passive`: it is somebody else's, and
   * only looked up.
   * @throws ConfigError, QueueMismatchError, BrokerUnavailableError
   */
  ready(name: string, passive: boolean, timeout: number): Promise<void> | undefined {
    if (this.#parts.declared.has(name)) return undefined;
    const known = passive ? this.#found : this.#declared;
    return this.#within(timeout, name, known.get(name) ?? this.#ask(name, passive, known));
  }

  /** The next call asks the broker again. */
  forget(name: string): void {
    this.#declared.delete(name);
    this.#found.delete(name);
  }

  #ask(name: string, passive: boolean, known: Map<string, Promise<void>>): Promise<void> {
    const asked = this.#parts.transport.declare([{ name, passive }]);
    known.set(name, asked);
    asked.catch(() => this.forget(name));
    return asked;
  }

  #within(timeout: number, queue: string, asked: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#parts.clock.after(timeout, () => {
        const text = `the broker did not say within ${timeout} ms whether there is a queue '${queue}'`;
        reject(new BrokerUnavailableError(`${text}; nothing was published`, { queue }));
      });
      asked.then(resolve, reject).finally(() => timer.cancel());
    });
  }
}
