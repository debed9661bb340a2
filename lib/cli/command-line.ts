import { Command, CommanderError, Option } from 'commander';
import { hint } from '../nearest.js';
import { EXIT, UsageError } from './exit.js';
import type { InspectOptions } from './list.js';
import { addOperatorCommands, OPERATOR_COMMANDS, type OperatorWish } from './operator-commands.js';
import { appOption, named, option } from './app-option.js';
import {
  countValue,
  durationValue,
  levelValue,
  portValue,
  queuesValue,
  runsValue,
  shareValue,
  textValue,
  type LogThreshold,
} from './option-values.js';

/** Options of `run`, as the flags and the environment gave them. */
export interface RunOptions {
  readonly app: string;
  /** By name, with a concurrency of its own, or `true`. */
  readonly queues: ReadonlyMap<string, number | true> | undefined;
  readonly excludeQueues: readonly string[] | undefined;
  readonly concurrency: number | undefined;
  readonly prefetch: number | undefined;
  /** Ends when nothing is left to do. */
  readonly once: boolean;
  /** Ends after so many runs. */
  readonly maxTasks: number | undefined;
  readonly name: string;
  /** Celery's monitors see it. */
  readonly taskEvents: boolean;
  /** ms */
  readonly shutdownTimeout: number;
  /** ms */
  readonly connectTimeout: number;
  /** Undefined: no probes. 0: a free one. */
  readonly healthPort: number | undefined;
  readonly logLevel: LogThreshold;
  /** Undefined: by whether stdout is a terminal. */
  readonly logFormat: 'json' | 'pretty' | undefined;
}

/** What the command line asks for. `done`: help or the version was printed. */
export type Wish =
  | { readonly command: 'run'; readonly options: RunOptions }
  | { readonly command: 'list' | 'check'; readonly options: InspectOptions }
  | OperatorWish
  | { readonly command: 'done' };

const COMMANDS = ['run', 'list', 'check', ...OPERATOR_COMMANDS, 'help'];
/** Reads the command line and the environment's `TASK_WORKER_…`. @throws UsageError */
export function readCommandLine(args: readonly string[], version: string): Wish {
  const [first = '-'] = args;
  if (!first.startsWith('-')) checkCommand(first);
  let wish: Wish = { command: 'done' };
  try {
    program(version, (found) => (wish = found)).parse(args, { from: 'user' });
    return wish;
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown;
    if (thrown.exitCode === EXIT.ok) return wish;
    throw new UsageError(
      thrown.message.replace(/^error: /, '').replace(/\n\(Did you mean (.*)\?\)/s, '; did you mean $1?'),
    );
  }
}

function checkCommand(word: string): void {
  if (COMMANDS.includes(word)) return;
  throw new UsageError(`there is no command '${word}'${hint(word, COMMANDS)} (commands: ${COMMANDS.join(', ')})`);
}

function program(version: string, take: (wish: Wish) => void): Command {
  const root = new Command('task-worker')
    .description('Runs the tasks of a solotask app.')
    .version(version, '-V, --version')
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  addRun(root, take);
  addInspection(root, 'list', "show the app's tasks: queue, unique key, strategy, retry", take);
  addInspection(root, 'check', 'load and verify the app, connect to nothing (for CI)', take);
  addOperatorCommands(root, take);
  return root;
}

function addInspection(root: Command, command: 'list' | 'check', text: string, take: (wish: Wish) => void): void {
  const sub = root.command(command).description(text).addOption(appOption());
  sub
    .option('--json', 'print JSON', false)
    .action((options: Partial<InspectOptions>) =>
      take({ command, options: { app: named(options), json: options.json === true } }),
    );
}

function addRun(root: Command, take: (wish: Wish) => void): void {
  const run = root.command('run', { isDefault: true }).description('consume (the default command)');
  for (const one of runOptions()) run.addOption(one);
  run.allowExcessArguments().action((options: Partial<RunOptions>, { args }: Command) => {
    refuseRest(args);
    take({ command: 'run', options: { ...DEFAULTS, ...defined(options), app: named(options) } });
  });
  run.addHelpText('after', '\nEnvironment: AMQP_URL, REDIS_URL (where the app names none), NO_COLOR.');
}

const DEFAULTS: Omit<RunOptions, 'app'> = {
  queues: undefined,
  excludeQueues: undefined,
  concurrency: undefined,
  prefetch: undefined,
  once: false,
  maxTasks: undefined,
  name: '%h-%p',
  taskEvents: false,
  shutdownTimeout: 25_000,
  connectTimeout: 30_000,
  healthPort: undefined,
  logLevel: 'info',
  logFormat: undefined,
};

function runOptions(): Option[] {
  return [
    appOption(),
    option('-q, --queues <names>', 'consume these queues only (a,b:20; 20: bodies at once of its own)', shareValue).env(
      'TASK_WORKER_QUEUES',
    ),
    option('-x, --exclude-queues <names>', 'consume all but these queues', queuesValue),
    option('-c, --concurrency <n>', 'bodies at once, of all queues without a number (default: 10)', countValue).env(
      'TASK_WORKER_CONCURRENCY',
    ),
    option('--prefetch <n>', 'unsettled deliveries per queue (default: concurrency + 10)', countValue),
    new Option('--once', 'end when the queues are empty; what falls due later is not waited for'),
    option('--max-tasks <n>', 'end after so many runs, for a supervisor that starts it anew', runsValue),
    option('-n, --name <name>', 'name in logs and on the broker; %h: host, %p: process (default: %h-%p)', textValue),
    new Option('-E, --task-events', "send Celery's events (Flower, celery events) and answer celery inspect"),
    option('--shutdown-timeout <time>', 'how long a stop waits for running tasks (default: 25s)', durationValue),
    option(
      '--connect-timeout <time>',
      'how long to wait for RabbitMQ and Redis at start (default: 30s)',
      durationValue,
    ),
    option('--health-port <port>', 'serve /livez, /readyz and /metrics there (default: not at all)', portValue),
    option('-l, --log-level <level>', 'trace, debug, info, warn, error, fatal, silent (default: info)', levelValue).env(
      'LOG_LEVEL',
    ),
    new Option('--log-format <format>', 'default: pretty on a terminal, else json').choices(['json', 'pretty']),
  ];
}

/** A word that no option takes. */
function refuseRest([word]: readonly string[]): void {
  if (word === undefined) return;
  if (COMMANDS.includes(word)) throw new UsageError(`the command comes first: task-worker ${word} …`);
  throw new UsageError(`what does '${word}' mean? Options begin with a dash${hint(word, COMMANDS)}`);
}

/** Without what is empty, as commander has it, so that a default can take its place. */
const defined = (options: Partial<RunOptions>): Partial<RunOptions> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== ''));
