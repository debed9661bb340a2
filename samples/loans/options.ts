import { Command, InvalidArgumentError, Option } from 'commander';

/** What the demo was asked for. */
export interface DemoOptions {
  readonly recipe: 'enqueue' | 'worker';
  readonly strategy: 'coalesce' | 'discard' | 'off';
  /** A CSV file of events, instead of generated ones. */
  readonly events?: string;
  readonly count: number;
  readonly loans: number;
  readonly seed: number;
  readonly servers: boolean;
  /** How many times a worker is killed. */
  readonly kill: number;
  readonly json: boolean;
}

/** Reads the command line; a mistake ends the process with status 64 and a hint, `--help` with 0. */
export function parseOptions(argv: readonly string[]): DemoOptions {
  const fresh = 'not with --events';
  return new Command('demo')
    .description('A stream of loan events, each followed by the recomputation of its loan, without the duplicates.')
    .addOption(
      new Option('--recipe <recipe>', 'who drops duplicates').choices(['enqueue', 'worker']).default('enqueue'),
    )
    .addOption(
      new Option('--strategy <strategy>', 'what becomes of a duplicate; off: every event runs')
        .choices(['coalesce', 'discard', 'off'])
        .default('coalesce'),
    )
    .addOption(new Option('--events <file.csv>', 'read the events from a file').conflicts(['count', 'loans']))
    .option('--count <events>', `how many events, ${fresh}`, positive, 20_000)
    .option('--loans <loans>', `over how many loans, ${fresh}`, positive, 300)
    .option('--seed <number>', 'what the events and the terms of the loans are drawn from', positive, 1)
    .option('--servers', 'RabbitMQ, Redis and two task-worker processes instead of the embedded parts', false)
    .addOption(
      new Option('--kill <times>', 'kill -9 a worker as it runs something, and start another; with --servers')
        .argParser(positive)
        .default(0, 'never')
        .implies({ servers: true }),
    )
    .option('--json', 'print the result as one JSON object', false)
    .allowExcessArguments(false)
    .showHelpAfterError('(--help lists the flags)')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 64))
    .parse(argv, { from: 'user' })
    .opts<DemoOptions>();
}

function positive(text: string): number {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (number === 0) throw new InvalidArgumentError('A whole number from 1 is needed.');
  return number;
}
