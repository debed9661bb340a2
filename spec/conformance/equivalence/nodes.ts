import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { systemClock } from '../../../lib/clock.js';
import type { Guard, LockRecord } from '../../../lib/guard.js';
import { createMemoryGuard, MemoryLocks } from '../../../lib/guards/memory.js';
import { QuorumGuard, type NodeCommand } from '../../support/quorum.js';

/**
 * What becomes of a command on its way to a node. `refused`: nothing, and that is known. `lost`: nothing, and nobody
 * knows. `unanswered`: it is executed, and nobody knows. `late`: nobody knows, and it is executed when that has ended.
 */
export const WEATHERS = ['fair', 'refused', 'lost', 'unanswered', 'late'] as const;
export type Weather = (typeof WEATHERS)[number];

/** What ioredis says of a command that it does not write. */
const REFUSED = "Stream isn't writeable and enableOfflineQueue options is false";
const SILENCE = 'Command timed out';

/** The way to one node. */
export class Way {
  weather: Weather = 'fair';
  #late: (() => Promise<unknown>)[] = [];

  /** Resolves with what `execute` came to if the answer arrives; rejects as ioredis does if not. */
  async send<T>(execute: () => Promise<T>): Promise<T> {
    switch (this.weather) {
      case 'fair':
        return execute();
      case 'refused':
        throw new Error(REFUSED);
      case 'late':
        this.#late.push(execute);
        break;
      case 'unanswered':
        await execute().catch(() => {});
        break;
      case 'lost':
    }
    throw new Error(SILENCE);
  }

  /** What is late arrives now, in its order. */
  async change(weather: Weather): Promise<void> {
    this.weather = weather;
    await Promise.allSettled(this.#late.splice(0).map((execute) => execute()));
  }

  /** The node starts again: what hung in its connections is gone. */
  cut(): void {
    this.weather = 'fair';
    this.#late = [];
  }
}

/** Answers arrive in the order in which the commands were sent, so that both guards count the same votes. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  inTurn<T>(answer: Promise<T>): Promise<T> {
    answer.catch(() => {});
    const turn = this.#last.then(() => answer);
    this.#last = turn.catch(() => {});
    return turn;
  }

  /** Resolves when nothing is on its way, what an answer led to included. */
  async quiet(): Promise<void> {
    for (let last; last !== this.#last; await turnOfTheLoop()) {
      last = this.#last;
      await last;
    }
  }
}

/** A guard under test with its nodes, and what can happen to them. */
export interface Nodes {
  readonly guard: Guard;
  readonly ways: readonly Way[];
  quiet(): Promise<void>;
  record(node: number, key: string): Promise<LockRecord | undefined>;
  /** The node forgets the key. */
  empty(node: number, key: string): Promise<void>;
  close(): Promise<void>;
}

/** Guards in memory as nodes, asked as Redis nodes are. */
export class MemoryNodes extends QuorumGuard implements Nodes {
  readonly guard = this;
  readonly ways: readonly Way[];
  readonly #turns = new Turns();
  readonly #stores: MemoryLocks[];
  readonly #guards: Guard[];

  constructor(count: number) {
    super(count);
    this.ways = Array.from({ length: count }, () => new Way());
    this.#stores = this.ways.map(() => new MemoryLocks());
    this.#guards = this.#stores.map((store) => createMemoryGuard({ clock: systemClock, store }));
  }

  protected send(node: number, { run, hear }: NodeCommand): void {
    const answer = (this.ways[node] as Way).send(() => run(this.#guards[node] as Guard));
    const silence = (cause: Error) => hear({ word: cause.message === REFUSED ? 'closed' : 'silent', cause });
    this.#turns.inTurn(answer).then(hear, silence);
  }

  async now(): Promise<number> {
    return systemClock.now();
  }

  async read(key: string): Promise<LockRecord | undefined> {
    return this.record(0, key);
  }

  quiet(): Promise<void> {
    return this.#turns.quiet();
  }

  async record(node: number, key: string): Promise<LockRecord | undefined> {
    return (this.#guards[node] as Guard).read(key);
  }

  async empty(node: number): Promise<void> {
    this.#stores[node]?.clear();
  }
}
