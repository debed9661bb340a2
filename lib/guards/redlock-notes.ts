import type { Redis } from 'ioredis';
import type { Notes } from '../notes.js';
import type { RedlockNodes } from './redlock-nodes.js';

/** Notes on every node that is there: they are written and read without a vote, for a mark that one node has is true. */
export class RedlockNotes implements Notes {
  readonly #nodes: RedlockNodes;

  constructor(nodes: RedlockNodes) {
    this.#nodes = nodes;
  }

  async mark(key: string, ttl: number): Promise<boolean> {
    return this.#isQuorum(await this.#ask((client) => client.set(key, '1', 'PX', Math.round(ttl))));
  }

  async marked(key: string): Promise<boolean | undefined> {
    const answers = await this.#ask((client) => client.exists(key));
    if (answers.includes(1)) return true;
    return this.#isQuorum(answers) ? false : undefined;
  }

  async count(key: string, ttl: number): Promise<number | undefined> {
    const answers = await this.#ask((client) => client.multi().incr(key).pexpire(key, Math.round(ttl)).exec());
    const sums = answers.map((answer) => Number(answer?.[0]?.[1] ?? 0)).filter((sum) => sum > 0);
    return sums.length === 0 ? undefined : Math.max(...sums);
  }

  async forget(key: string): Promise<void> {
    await this.#ask((client) => client.del(key));
  }

  #isQuorum(answers: readonly unknown[]): boolean {
    return answers.length * 2 > this.#nodes.clients.length;
  }

  /** The answers of those that give one. */
  async #ask<T>(ask: (client: Redis) => Promise<T>): Promise<T[]> {
    const ready = this.#nodes.clients.filter(({ status }) => status === 'ready');
    const ends = await Promise.allSettled(ready.map(ask));
    return ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
  }
}
