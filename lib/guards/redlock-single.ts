import type { ScriptBatch } from './redlock-batch.js';
import type { ScriptCalls, ScriptPair } from './redlock-scripts.js';
import type { Vote } from './redlock-votes.js';

/**
 * Scripts on the one node that most apps have. Its word is the quorum's: nothing is left to count, and redlock's way to one
 * vote makes a dozen promises and two sets, which take longer than everything else about a claim.
 */
export class SingleNodeCalls implements ScriptCalls {
  readonly #node: ScriptBatch;
  readonly #scripts: ScriptPair;

  constructor(node: ScriptBatch, scripts: ScriptPair) {
    this.#node = node;
    this.#scripts = scripts;
  }

  extend<T>(key: string, words: string, ms: number, read: (verdict: Vote) => T): Promise<T> {
    return this.#node.ask(key, `${this.#scripts.extend} ${words}`, Math.round(ms), read);
  }

  release<T>(key: string, words: string, read: (verdict: Vote) => T): Promise<T> {
    const { release } = this.#scripts;
    if (release === undefined) throw new Error('this kind of calls has no script for a release');
    return this.#node.ask(key, `${release} ${words}`, 0, read);
  }

  idle(): Promise<void> {
    return this.#node.idle();
  }
}
