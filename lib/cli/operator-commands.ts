import { Command, Option } from 'commander';
import { appOption, named, option } from './app-option.js';
import { countValue, durationValue, queuesValue, textValue } from './option-values.js';

/** What every command of operators takes. */
export interface OperatorOptions {
  readonly app: string;
  readonly json: boolean;
  /** ms */
  readonly connectTimeout: number;
}

/** Options of `enqueue`. */
export interface EnqueueFlags extends OperatorOptions {
  readonly task: string;
  /** JSON text. */
  readonly args: string;
  /** Passed on to `app.enqueue` as they are. */
  readonly call: Readonly<Record<string, unknown>>;
}

/** Options of `dead …`. */
export interface DeadFlags extends OperatorOptions {
  readonly act: 'ls' | 'show' | 'retry' | 'drop';
  readonly ids: readonly string[];
  readonly all: boolean;
  readonly queues: readonly string[] | undefined;
  readonly limit: number;
  readonly yes: boolean;
}

/** Options of `locks …`. */
export interface LocksFlags extends OperatorOptions {
  readonly act: 'ls' | 'show' | 'rm';
  /** The words that name the key. */
  readonly key: string;
  readonly match: string;
  readonly limit: number;
  readonly force: boolean;
}

/** Options of `purge`. */
export interface PurgeFlags extends OperatorOptions {
  readonly queues: readonly string[] | undefined;
  readonly yes: boolean;
}

/** What an operator asks for. */
export type OperatorWish =
  | { readonly command: 'enqueue'; readonly options: EnqueueFlags }
  | { readonly command: 'dead'; readonly options: DeadFlags }
  | { readonly command: 'locks'; readonly options: LocksFlags }
  | { readonly command: 'purge'; readonly options: PurgeFlags }
  | { readonly command: 'inspect'; readonly options: OperatorOptions };

export const OPERATOR_COMMANDS = ['enqueue', 'inspect', 'dead', 'locks', 'purge'] as const;

type Take = (wish: OperatorWish) => void;
type Flags = Readonly<Record<string, unknown>> & { readonly app?: string };

const CONNECT_TIMEOUT = 10_000;
const LIMIT = 100;
const ENDINGS = '\nEnvironment: AMQP_URL, REDIS_URL (where the app names none), NO_COLOR.';

export function addOperatorCommands(root: Command, take: Take): void {
  addEnqueue(root, take);
  addInspect(root, take);
  addDead(root, take);
  addLocks(root, take);
  addPurge(root, take);
}

function command(parent: Command, name: string, text: string): Command {
  return parent
    .command(name)
    .description(text)
    .addOption(appOption())
    .option('--json', 'print JSON', false)
    .addOption(option('--connect-timeout <time>', 'how long to wait for the servers (default: 10s)', durationValue))
    .addHelpText('after', ENDINGS);
}

const common = (flags: Flags): OperatorOptions => ({
  app: named(flags),
  json: flags['json'] === true,
  connectTimeout: (flags['connectTimeout'] as number | undefined) ?? CONNECT_TIMEOUT,
});

const text = (flags: Flags, name: string): string => (flags[name] as string | undefined) ?? '';
const names = (flags: Flags): readonly string[] | undefined => flags['queues'] as readonly string[] | undefined;
const limitOf = (flags: Flags): number => (flags['limit'] as number | undefined) ?? LIMIT;

const queuesOption = (what: string): Option => option('-q, --queues <names>', what, queuesValue);
const limitOption = (): Option => option('--limit <n>', `show at most so many (default: ${LIMIT})`, countValue);
const yesOption = (): Option => new Option('-y, --yes', 'do not ask').default(false);

/** As `app.enqueue` has them; the app says which it takes. */
const CALL_OPTIONS = ['delay', 'at', 'key', 'id', 'expires', 'queue', 'priority'] as const;

const numberOrText = (value: string): number | string => (/^\d+$/.test(value) ? Number(value) : value);

function addEnqueue(root: Command, take: Take): void {
  command(root, 'enqueue', 'enqueue a task, by its name as list shows it; prints the receipt')
    .argument('<task>')
    .option('--args <json>', "the arguments, a JSON array such as '[42]'", '[]')
    .option('--delay <time>', 'not before this time from now (5m)')
    .addOption(option('--at <time>', 'not before this moment (ISO 8601, or epoch ms)', numberOrText))
    .option('--key <key>', "in place of the template's value")
    .option('--id <id>', 'the id of the task')
    .option('--expires <time>', 'dropped when it has not begun by then')
    .option('--queue <name>', 'in place of its own queue')
    .addOption(option('--priority <n>', '0 to 9', numberOrText))
    .action((task: string, flags: Flags) => {
      const call = Object.fromEntries(CALL_OPTIONS.filter((name) => name in flags).map((name) => [name, flags[name]]));
      take({ command: 'enqueue', options: { ...common(flags), task, args: text(flags, 'args'), call } });
    });
}

function addInspect(root: Command, take: Take): void {
  command(root, 'inspect', 'queues, workers, what runs where, since when').action((flags: Flags) =>
    take({ command: 'inspect', options: common(flags) }),
  );
}

function addDead(root: Command, take: Take): void {
  const dead = root.command('dead').description('the dead letters: ls, show, retry, drop');
  const tell = (act: DeadFlags['act'], ids: readonly string[], flags: Flags): void => {
    const [all, yes] = [flags['all'] === true, flags['yes'] === true];
    const options = { ...common(flags), act, ids, all, yes, queues: names(flags), limit: limitOf(flags) };
    take({ command: 'dead', options });
  };
  const queues = (): Option => queuesOption('of these queues only (a,b)');
  command(dead, 'ls', 'list them')
    .addOption(queues())
    .addOption(limitOption())
    .action((flags: Flags) => tell('ls', [], flags));
  command(dead, 'show', 'everything about one, its stack included')
    .argument('<id>', 'its id, or the beginning of it')
    .addOption(queues())
    .action((id: string, flags: Flags) => tell('show', [id], flags));
  for (const [act, what] of [
    ['retry', 'publish them anew, under a new id'],
    ['drop', 'throw them away'],
  ] as const) {
    command(dead, act, what)
      .argument('[ids...]', 'their ids, or the beginnings of them')
      .option('--all', 'all of them', false)
      .addOption(queues())
      .addOption(yesOption())
      .action((ids: string[], flags: Flags) => tell(act, ids, flags));
  }
}

function addLocks(root: Command, take: Take): void {
  const locks = root.command('locks').description('who holds which key: ls, show, rm');
  const tell = (act: LocksFlags['act'], words: readonly string[], flags: Flags): void => {
    const options = { key: words.join(' '), match: text(flags, 'match'), limit: limitOf(flags) };
    take({ command: 'locks', options: { ...common(flags), act, ...options, force: flags['force'] === true } });
  };
  command(locks, 'ls', 'list the keys that are held, the oldest holder first')
    .addOption(option('--match <text>', 'whose Class.method:key contains this; * stands for anything', textValue))
    .addOption(limitOption())
    .action((flags: Flags) => tell('ls', [], flags));
  const key = "Class.method and the key ('LoanService.recompute loan:42'), or the whole record";
  command(locks, 'show', 'everything about one key')
    .argument('<key...>', key)
    .action((words: string[], flags: Flags) => tell('show', words, flags));
  command(locks, 'rm', 'take a key from its holder')
    .argument('<key...>', key)
    .option('--force', 'though its holder is alive', false)
    .action((words: string[], flags: Flags) => tell('rm', words, flags));
}

function addPurge(root: Command, take: Take): void {
  command(root, 'purge', 'drop what waits in queues, and free the keys')
    .addOption(queuesOption('these queues (a,b); they must be named').makeOptionMandatory())
    .addOption(yesOption())
    .action((flags: Flags) =>
      take({ command: 'purge', options: { ...common(flags), queues: names(flags), yes: flags['yes'] === true } }),
    );
}
