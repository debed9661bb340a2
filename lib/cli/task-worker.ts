import { readFileSync } from 'node:fs';
import { toError } from '../errors.js';
import { readCommandLine, type Wish } from './command-line.js';
import { EXIT, exitCode, foreseen, oneLine } from './exit.js';

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
  try {
    return await grant(wish, version);
  } catch (thrown) {
    return explain(toError(thrown));
  }
}

/** Each command is loaded when it is asked for: list and check need no logger. */
async function grant(wish: Wish, version: string): Promise<number> {
  switch (wish.command) {
    case 'run':
      return (await import('./run.js')).run(wish.options, version);
    case 'list':
      return (await import('./list.js')).list(wish.options);
    case 'check':
      return (await import('./check.js')).check(wish.options);
    case 'enqueue':
      return (await import('./enqueue.js')).enqueue(wish.options);
    case 'inspect':
      return (await import('./inspect.js')).inspect(wish.options);
    case 'dead':
      return (await import('./dead.js')).dead(wish.options);
    case 'locks':
      return (await import('./locks.js')).locks(wish.options);
    case 'purge':
      return (await import('./purge.js')).purge(wish.options);
    case 'done':
      return EXIT.ok;
  }
}

/** One line for what is wrong with the app; the stack for what nobody foresaw, and whenever LOG_LEVEL asks for it. */
function explain(error: Error): number {
  const status = exitCode(error);
  complain(error.message);
  const wordy = /^(debug|trace)$/i.test(process.env['LOG_LEVEL'] ?? '');
  if (wordy || (status === EXIT.failed && !foreseen(error))) process.stderr.write(`${stacks(error)}\n`);
  return status;
}

function stacks(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by: ${stacks(error.cause)}` : stack;
}

const complain = (text: string): void => void process.stderr.write(`task-worker: ${oneLine(text)}\n`);
