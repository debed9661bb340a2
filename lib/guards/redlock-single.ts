import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { toError } from '../errors.js';
import { scriptText, type ScriptCalls, type ScriptPair } from './redlock-scripts.js';
import { conclude, GRANTED, readVote, type Vote } from './redlock-votes.js';

interface Script {
  readonly text: string;
  readonly hash: string;
}

function scriptOf(name: string, memory: number): Script {
  const text = scriptText(name, memory);
  return { text, hash: createHash('sha1').update(text).digest('hex') };
}

/** What `evalsha` and `eval` take besides the script and the number of keys. */
type Words = [key: string, words: string, ms?: number];

/**
 * The scripts on the one node that most apps have. Its word is the quorum's: nothing is left to count, and redlock's way
 * to one vote makes a dozen promises and two sets, which take longer than everything else about a claim (17 µs with it,
 * 8 without, 1,000 in flight).
 */
export class SingleNodeCalls implements ScriptCalls {
  readonly #client: Redis;
  readonly #extend: Script;
  readonly #release: Script | undefined;
  #open = 0;
  #idle: (() => void)[] = [];

  constructor(client: Redis, memory: number, { extend, release }: ScriptPair) {
    this.#client = client;
    this.#extend = scriptOf(extend, memory);
    this.#release = release === undefined ? undefined : scriptOf(release, memory);
  }

  extend<T>(key: string, words: string, ms: number, read: (verdict: Vote) => T): Promise<T> {
    return this.#ask(this.#extend, [key, `- ${words}`, Math.round(ms)], read);
  }

  release<T>(key: string, words: string, read: (verdict: Vote) => T): Promise<T> {
    if (this.#release === undefined) throw new Error('this kind of calls has no script for a release');
    return this.#ask(this.#release, [key, `- ${words}`], read);
  }

  async idle(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #ask<T>(script: Script, words: Words, read: (verdict: Vote) => T): Promise<T> {
    this.#open += 1;
    const granted = (): T => this.#over(GRANTED, read);
    const refused = (error: unknown): T => this.#over(conclude([readVote(toError(error))], 1), read);
    return this.#client.evalsha(script.hash, 1, ...(words as [string, string])).then(granted, (error: unknown) => {
      const unknown = error instanceof Error && error.message.startsWith('NOSCRIPT');
      if (!unknown) return refused(error);
      return this.#client.eval(script.text, 1, ...(words as [string, string])).then(granted, refused);
    });
  }

  #over<T>(verdict: Vote, read: (verdict: Vote) => T): T {
    this.#open -= 1;
    if (this.#open === 0) for (const resolve of this.#idle.splice(0)) resolve();
    return read(verdict);
  }
}
