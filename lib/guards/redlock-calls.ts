import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import Redlock, { ExecutionError, Lock } from 'redlock';
import { toError } from '../errors.js';
import { conclude, decide, mayHold, readVote, type Vote } from './redlock-votes.js';

const source = (name: string): string => readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), 'utf8');

/** A command on its way: the votes so far, and who waits for the verdict. */
interface Ballot {
  readonly votes: Vote[];
  readonly resolve: (verdict: Vote) => void;
}

/**
 * Scripts as the two slots of a Redlock instance: what takes a time goes by `extend`, what ends a hold by `release`.
 * redlock counts the votes in favour; a refusal reaches us as its `error` event, so that a quorum of them decides
 * without waiting for a node that hangs.
 */
export class RedlockCalls {
  readonly #redlock: Redlock;
  readonly #nodes: number;
  readonly #open = new Map<string, Ballot>();
  readonly #sent = new Set<Promise<void>>();
  #calls = 0;

  constructor(clients: readonly Redis[], memory: number, scripts: { extend: string; release?: string }) {
    const text = (name: string) => () => `local MEMORY = ${memory}\n${source('prelude')}\n${source(name)}`;
    this.#nodes = clients.length;
    this.#redlock = new Redlock(
      clients,
      { retryCount: 0 },
      {
        extendScript: text(scripts.extend),
        ...(scripts.release === undefined ? {} : { releaseScript: text(scripts.release) }),
      },
    );
    this.#redlock.on('error', (error: Error & { command?: { args: string[] } }) => this.#hear(error));
  }

  /** `leftBehind` is called when the verdict is no grant, and a node may have granted all the same. */
  extend(key: string, words: string, ms: number, leftBehind?: () => void): Promise<Vote> {
    return this.#ask(key, words, (lock) => this.#redlock.extend(lock, Math.round(ms)), leftBehind);
  }

  release(key: string, words: string): Promise<Vote> {
    return this.#ask(key, words, (lock) => this.#redlock.release(lock));
  }

  /** Resolves when what was sent is answered or given up. */
  async idle(): Promise<void> {
    await Promise.allSettled(this.#sent);
  }

  #ask(key: string, words: string, send: (lock: Lock) => Promise<unknown>, leftBehind?: () => void): Promise<Vote> {
    this.#calls += 1;
    const value = `${this.#calls.toString(36)} ${words}`;
    const lock = new Lock(this.#redlock, [key], value, [], Number.MAX_SAFE_INTEGER);
    return new Promise((resolve) => {
      this.#open.set(value, { votes: [], resolve });
      const sent = send(lock)
        .then(
          () => resolve({ word: 'ok' }),
          async (error: unknown) => {
            const votes = await this.#count(error);
            resolve(conclude(votes, this.#nodes));
            if (votes.some(mayHold)) leftBehind?.();
          },
        )
        .finally(() => {
          this.#open.delete(value);
          this.#sent.delete(sent);
        });
      this.#sent.add(sent);
    });
  }

  /** The value, our fourth argument, is fresh for each call and so names it. */
  #hear(error: Error & { command?: { args: string[] } }): void {
    const ballot = this.#open.get(error.command?.args[3] ?? '');
    if (ballot === undefined) return;
    ballot.votes.push(readVote(error));
    const verdict = decide(ballot.votes, this.#nodes);
    if (verdict !== undefined && !('cause' in verdict)) ballot.resolve(verdict);
  }

  /** All votes, once every node has answered or timed out. */
  async #count(error: unknown): Promise<Vote[]> {
    const attempt = error instanceof ExecutionError ? error.attempts[0] : undefined;
    if (attempt === undefined) return [{ word: 'silent', cause: toError(error) }];
    const { votesFor, votesAgainst } = await attempt;
    return [...[...votesFor].map((): Vote => ({ word: 'ok' })), ...[...votesAgainst.values()].map(readVote)];
  }
}
