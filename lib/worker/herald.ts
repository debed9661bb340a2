import { hostname } from 'node:os';
import type { Clock, Timer } from '../clock.js';
import { PRESENT_RUNS, presencePrefix, type Presence, type PresenceRecord } from '../presence.js';
import type { Run } from './run.js';

/** What a herald works with. */
export interface HeraldParts {
  readonly presence: Presence;
  readonly clock: Clock;
  readonly namespace: string;
  readonly name: string;
  readonly queues: readonly string[];
  readonly concurrency: number;
  /** Deliveries under way. */
  readonly runs: () => Iterable<Run>;
}

/** How often it is looked whether something changed, ms: a message costs nothing, whatever the load. */
const LOOK = 1_000;
/** The longest silence, ms; three of them, and the worker counts as gone. */
const SILENCE = 5_000;

/** Of this process, so that two workers of one name have entries of their own. */
let heralds = 0;

/**
 * Tells where everybody can see it that this worker is there, and what it runs. For people: Redis may be slow or away, and
 * no task notices.
 */
export class Herald {
  readonly #parts: HeraldParts;
  readonly #key: string;
  readonly #started: number;
  #timer: Timer | undefined;
  #told = -Infinity;
  #text = '';
  #ended = false;

  constructor(parts: HeraldParts) {
    this.#parts = parts;
    this.#started = parts.clock.now();
    this.#key = `${presencePrefix(parts.namespace)}${parts.name}:${process.pid}@${hostname()}:${(heralds += 1)}`;
  }

  start(): void {
    if (!this.#ended) this.#look();
  }

  /** Resolves when the entry is gone, or Redis did not answer. */
  async end(): Promise<void> {
    this.#ended = true;
    this.#timer?.cancel();
    await this.#parts.presence.remove(this.#key).catch(() => {});
  }

  #look(): void {
    const { clock } = this.#parts;
    this.#timer = clock.after(LOOK, () => this.#look(), { idle: true });
    const running = [...this.#parts.runs()].filter(({ stage }) => stage === 'running');
    const text = running.map(({ head }) => head.id).join();
    if (text === this.#text && clock.monotonic() - this.#told < SILENCE) return;
    this.#text = text;
    this.#told = clock.monotonic();
    void this.#tell(running);
  }

  async #tell(running: readonly Run[]): Promise<void> {
    const { presence } = this.#parts;
    await presence.put(this.#key, this.#record(running), 3 * SILENCE).catch(() => {});
    // A put that was on its way when the worker ended must not outlive it.
    if (this.#ended) await presence.remove(this.#key).catch(() => {});
  }

  #record(running: readonly Run[]): PresenceRecord {
    const { clock, name, queues, concurrency } = this.#parts;
    const runs = running.slice(0, PRESENT_RUNS).map((run) => ({
      task: run.head.task,
      id: run.head.id,
      key: run.lock?.key,
      since: Math.round(clock.now() - run.seconds(clock) * 1000),
    }));
    const host = hostname();
    const { pid } = process;
    return { name, host, pid, queues, concurrency, started: this.#started, running: running.length, runs };
  }
}
