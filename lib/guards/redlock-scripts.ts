import { readFileSync } from 'node:fs';
import type { Vote } from './redlock-votes.js';

const source = (name: string): string => readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), 'utf8');

/** All that is ever done to a record. */
const STEPS = ['claim-publishing', 'claim-running', 'keep', 'release', 'abandon', 'waiting'];

function text(memory: number, steps: readonly string[], end: string): string {
  const functions = steps.map((name) => `steps['${name}'] = function()\n${source(name)}end\n`);
  return [`local MEMORY = ${memory}\n`, source('prelude'), ...functions, source(end)].join('');
}

/** A script that takes one step, as redlock wants it; `memory`: how long fence, floor and done outlive a holder, ms. */
export const scriptText = (name: string, memory: number): string => text(memory, [name], 'single');

/** A script that takes any steps, for many keys. */
export const batchText = (memory: number): string => text(memory, STEPS, 'batch');

/** Names of the two scripts of one kind of calls: what takes a time, and what ends a hold. */
export interface ScriptPair {
  readonly extend: string;
  readonly release?: string;
}

/** Runs scripts on the nodes and gives the verdict of a quorum, as `read` reads it. Never rejects for a node's sake. */
export interface ScriptCalls {
  /** `leftBehind` is called when the verdict is no grant, and a node may have granted all the same. */
  extend<T>(key: string, words: string, ms: number, read: (verdict: Vote) => T, leftBehind?: () => void): Promise<T>;
  release<T>(key: string, words: string, read: (verdict: Vote) => T): Promise<T>;
  /** Resolves when what was sent is answered or given up. */
  idle(): Promise<void>;
}
