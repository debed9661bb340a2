import { readFileSync } from 'node:fs';
import type { Vote } from './redlock-votes.js';

const source = (name: string): string => readFileSync(new URL(`scripts/${name}.lua`, import.meta.url), 'utf8');

/** The text of a script; `memory`: how long fence, floor and done outlive a holder, ms. */
export const scriptText = (name: string, memory: number): string =>
  `local MEMORY = ${memory}\n${source('prelude')}\n${source(name)}`;

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
