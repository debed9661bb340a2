import { presencePrefix, type PresenceRecord } from '../presence.js';
import { deadQueue } from '../transport.js';
import { DeadLetters } from './dead-letters.js';
import { Locks } from './locks.js';
import type { InspectorParts } from './parts.js';
import { Purge, type PurgeCount } from './purge.js';

/** A work queue in figures. */
export interface QueueView {
  readonly name: string;
  /** Messages that wait; those in the delay queues are not among them. */
  readonly ready: number;
  readonly consumers: number;
  /** Its dead letters. */
  readonly dead: number;
}

/** What goes on. */
export interface Overview {
  readonly queues: readonly QueueView[];
  /** As they said some seconds ago at most; the longest running first. */
  readonly workers: readonly PresenceRecord[];
}

/** What operators look at and mend. `task-worker`'s commands are made of it. */
export class Inspector {
  readonly dead: DeadLetters;
  readonly locks: Locks;
  readonly #parts: InspectorParts;

  constructor(parts: InspectorParts) {
    this.#parts = parts;
    this.dead = new DeadLetters(parts);
    this.locks = new Locks(parts);
  }

  /** The queues of the app's tasks. */
  get queues(): readonly string[] {
    return [...new Set(this.#parts.registry.definitions.map(({ queue }) => queue))];
  }

  /** Queues and workers. */
  async overview(): Promise<Overview> {
    const { guard, namespace } = this.#parts;
    const [queues, workers] = await Promise.all([
      Promise.all(this.queues.map((name) => this.#queue(name))),
      guard.presence.list(presencePrefix(namespace)),
    ]);
    return { queues, workers: [...workers].sort((a, b) => a.started - b.started) };
  }

  /** Messages that wait in a queue. */
  async ready(queue: string): Promise<number> {
    return (await this.#parts.transport.figures(queue)).ready;
  }

  /** Empties a queue of what waits in it now, and frees the keys. `tell` is called after each message. */
  purge(queue: string, tell: (count: PurgeCount) => void = () => {}): Promise<PurgeCount> {
    return new Purge(this.#parts).run(queue, tell);
  }

  async #queue(name: string): Promise<QueueView> {
    const { transport } = this.#parts;
    const [{ ready, consumers }, dead] = await Promise.all([
      transport.figures(name),
      transport.figures(deadQueue(name)),
    ]);
    return { name, ready, consumers, dead: dead.ready };
  }
}
