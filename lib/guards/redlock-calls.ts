import type { Redis } from 'ioredis';
import Redlock, { ExecutionError, Lock } from 'redlock';
import { toError } from '../errors.js';
import { scriptText, type ScriptCalls, type ScriptPair } from './redlock-scripts.js';
import { conclude, decide, GRANTED, mayHold, readVote, type Vote } from './redlock-votes.js';

/** A command on its way: who waits for the verdict, and the votes against it so far. */
class Ballot<T> {
  readonly #read: (verdict: Vote) => T;
  readonly #resolve: (answer: T) => void;
  #votes: Vote[] | undefined;

  constructor(read: (verdict: Vote) => T, resolve: (answer: T) => void) {
    this.#read = read;
    this.#resolve = resolve;
  }

  close(verdict: Vote): void {
    this.#resolve(this.#read(verdict));
  }

  /** A quorum of refusals decides; of silences nothing is known before all have answered. */
  add(vote: Vote, nodes: number): void {
    const votes = (this.#votes ??= []);
    votes.push(vote);
    const verdict = decide(votes, nodes);
    if (verdict !== undefined && !('cause' in verdict)) this.close(verdict);
  }
}

/**
 * Scripts on several nodes, as the two slots of a Redlock instance: what takes a time goes by `extend`, what ends a hold by
 * `release`. redlock counts the votes in favour; a refusal reaches us as its `error` event, so that a quorum of them
 * decides without waiting for a node that hangs.
 */
export class RedlockCalls implements ScriptCalls {
  readonly #redlock: Redlock;
  readonly #nodes: number;
  readonly #open = new Map<number, { add(vote: Vote, nodes: number): void }>();
  #calls = 0;
  #idle: (() => void)[] = [];

  constructor(clients: readonly Redis[], memory: number, scripts: ScriptPair) {
    const text = (name: string) => () => scriptText(name, memory);
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

  extend<T>(key: string, words: string, ms: number, read: (verdict: Vote) => T, leftBehind?: () => void): Promise<T> {
    const call = ++this.#calls;
    return this.#ask(call, this.#redlock.extend(this.#lock(call, key, words), Math.round(ms)), read, leftBehind);
  }

  release<T>(key: string, words: string, read: (verdict: Vote) => T): Promise<T> {
    const call = ++this.#calls;
    return this.#ask(call, this.#redlock.release(this.#lock(call, key, words)), read);
  }

  async idle(): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** The value, our fourth argument, begins with the number of the call and so names it. */
  #lock(call: number, key: string, words: string): Lock {
    return new Lock(this.#redlock, [key], `${call} ${words}`, [], Number.MAX_SAFE_INTEGER);
  }

  #ask<T>(call: number, sent: Promise<unknown>, read: (verdict: Vote) => T, leftBehind?: () => void): Promise<T> {
    return new Promise((resolve) => {
      const ballot = new Ballot(read, resolve);
      this.#open.set(call, ballot);
      sent.then(
        () => {
          ballot.close(GRANTED);
          this.#over(call);
        },
        async (error: unknown) => {
          const votes = await this.#count(error);
          ballot.close(conclude(votes, this.#nodes));
          if (votes.some(mayHold)) leftBehind?.();
          this.#over(call);
        },
      );
    });
  }

  #over(call: number): void {
    this.#open.delete(call);
    if (this.#open.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #hear(error: Error & { command?: { args: string[] } }): void {
    const call = Number.parseInt(error.command?.args[3] ?? '', 10);
    this.#open.get(call)?.add(readVote(error), this.#nodes);
  }

  /** All votes, once every node has answered or timed out. */
  async #count(error: unknown): Promise<Vote[]> {
    const attempt = error instanceof ExecutionError ? error.attempts[0] : undefined;
    if (attempt === undefined) return [{ word: 'silent', cause: toError(error) }];
    const { votesFor, votesAgainst } = await attempt;
    return [...[...votesFor].map((): Vote => GRANTED), ...[...votesAgainst.values()].map(readVote)];
  }
}
