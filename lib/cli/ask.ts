import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { UsageError } from './exit.js';

/** Where a question goes, and where its answer comes from. */
export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable;
}

/** Asks on stderr, for stdout may be a file. */
const TERMINAL: Terminal = { input: process.stdin, output: process.stderr };

/**
 * True when somebody at a terminal says yes, or `--yes` said so before.
 * @throws UsageError when there is nobody to ask.
 */
export async function agreed(question: string, yes: boolean, { input, output }: Terminal = TERMINAL): Promise<boolean> {
  if (yes) return true;
  if (input.isTTY !== true) throw new UsageError(`${question} There is no terminal to ask at: add --yes`);
  const reader = createInterface({ input, output });
  // The terminal may be closed instead of an answer: readline would wait for ever.
  const closed = once(reader, 'close').then(() => '');
  try {
    const answer = await Promise.race([reader.question(`${question} [y/N] `), closed]);
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    reader.close();
  }
}
