import { readFileSync } from 'node:fs';
import { toError } from '../errors.js';
import { readCommandLine } from './command-line.js';
import { EXIT, exitCode, oneLine } from './exit.js';

/** The package's version. */
function readVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** The binary: reads the command line, does what it says, resolves to the exit status. Never rejects. */
export async function main(args: readonly string[]): Promise<number> {
  const version = readVersion();
  let wish;
  try {
    wish = readCommandLine(args, version);
  } catch (thrown) {
    complain(`${toError(thrown).message} (task-worker --help)`);
    return EXIT.usage;
  }
  // Each command is loaded when it is asked for: list and check need no logger.
  try {
    if (wish.command === 'run') return await (await import('./run.js')).run(wish.options, version);
    if (wish.command === 'list') return await (await import('./list.js')).list(wish.options);
    if (wish.command === 'check') return await (await import('./check.js')).check(wish.options);
    return EXIT.ok;
  } catch (thrown) {
    return explain(toError(thrown));
  }
}

/** One line for what is wrong with the app; the stack for what nobody foresaw, and whenever LOG_LEVEL asks for it. */
function explain(error: Error): number {
  const status = exitCode(error);
  complain(error.message);
  const wordy = /^(debug|trace)$/i.test(process.env['LOG_LEVEL'] ?? '');
  if (wordy || status === EXIT.failed) process.stderr.write(`${stacks(error)}\n`);
  return status;
}

function stacks(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by: ${stacks(error.cause)}` : stack;
}

const complain = (text: string): void => void process.stderr.write(`task-worker: ${oneLine(text)}\n`);
