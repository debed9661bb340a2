import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { toError } from '../errors.js';
import { batchText } from './redlock-scripts.js';
import { GRANTED, readRefusal, readVote, type Vote } from './redlock-votes.js';

/** Redis's refusal, and that of a managed one, of keys that do not belong together in a cluster. */
const OTHER_SLOTS = /^CROSSSLOT|same slot/;
/** The most steps in one script: as long as it runs, 6 to 10 µs a step, Redis serves nobody else. */
const LARGEST = 64;

interface Step {
  readonly key: string;
  /** One line, whose first word names the script. */
  readonly words: string;
  readonly ms: number;
  readonly answered: (vote: Vote) => void;
}

/** What `evalsha` and `eval` take besides the script. */
type Words = [count: number, ...words: string[]];

/**
 * What one node is asked during one callback of the event loop goes to it as one script. Command, reply and promise cost
 * either side more than a step does (claim and release, 1,000 in flight: 16 µs of the process alone, 4 µs in batches).
 */
export class ScriptBatch {
  readonly #client: Redis;
  readonly #text: string;
  readonly #hash: string;
  #steps: Step[] = [];
  #largest = LARGEST;
  #open = 0;
  #idle: (() => void)[] = [];

  constructor(client: Redis, memory: number) {
    this.#client = client;
    this.#text = batchText(memory);
    this.#hash = createHash('sha1').update(this.#text).digest('hex');
  }

  /** Never rejects: trouble is a vote. */
  ask<T>(key: string, words: string, ms: number, read: (vote: Vote) => T): Promise<T> {
    return new Promise((resolve) => {
      const answered = (vote: Vote): void => resolve(read(vote));
      this.#steps.push({ key, words, ms, answered });
      if (this.#steps.length >= this.#largest) this.#send();
      // After every promise callback that is due now, those of this turn included that they make due.
      else if (this.#steps.length === 1) queueMicrotask(() => process.nextTick(this.#send));
    });
  }

  /** Resolves when what was asked is answered or given up. */
  async idle(): Promise<void> {
    if (this.#open + this.#steps.length > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  readonly #send = (): void => {
    if (this.#steps.length === 0) return;
    const steps = this.#steps;
    this.#steps = [];
    this.#open += 1;
    void this.#take(steps).then(() => {
      this.#open -= 1;
      if (this.#open + this.#steps.length === 0) for (const resolve of this.#idle.splice(0)) resolve();
    });
  };

  async #take(steps: readonly Step[]): Promise<void> {
    try {
      const answers = (await this.#run(steps)) as (1 | string)[];
      steps.forEach(({ answered }, index) => {
        const answer = answers[index] as 1 | string;
        answered(answer === 1 ? GRANTED : readRefusal(answer));
      });
    } catch (thrown) {
      const error = toError(thrown);
      // A cluster's: nothing was done. From now on each goes alone.
      if (steps.length > 1 && OTHER_SLOTS.test(error.message)) {
        this.#largest = 1;
        await Promise.all(steps.map((step) => this.#take([step])));
        return;
      }
      const vote = readVote(error);
      for (const { answered } of steps) answered(vote);
    }
  }

  async #run(steps: readonly Step[]): Promise<unknown> {
    const words: Words = [steps.length];
    let lines = '';
    for (const step of steps) {
      words.push(step.key);
      lines += `${step.ms} ${step.words}\n`;
    }
    words.push(lines);
    try {
      return await this.#client.evalsha(this.#hash, ...words);
    } catch (error) {
      const unknown = error instanceof Error && error.message.startsWith('NOSCRIPT');
      if (!unknown) throw error;
      return this.#client.eval(this.#text, ...words);
    }
  }
}
