import type { Inspector } from '../inspector/inspector.js';
import type { DeadLetterView } from '../inspector/dead-letter.js';
import type { Choice, DeadLetterEnd } from '../inspector/dead-letters.js';
import { agreed } from './ask.js';
import { asUsage, EXIT, oneLine, UsageError } from './exit.js';
import type { DeadFlags } from './operator-commands.js';
import { ago, columns, many, moment, paint, printJson, progress } from './out.js';
import { print } from './print.js';
import { facts, records } from './table.js';
import { queuesAsked, withApp } from './with-app.js';

/** `task-worker dead`: what nothing more could be done for. */
export async function dead(options: DeadFlags): Promise<number> {
  if (options.act !== 'ls') checkChoice(options);
  return withApp(options, async (app) => {
    const queues = queuesAsked(app, options.queues);
    const inspector = await app.inspector();
    if (options.act === 'ls') return list(inspector, queues, options);
    if (options.act === 'show') return show(inspector, queues, options);
    return settle(inspector, queues, options);
  });
}

/** Fewer characters of an id name too many. */
const LEAST = 8;

function checkChoice({ act, ids, all }: DeadFlags): void {
  const short = ids.find((id) => id.length < LEAST);
  if (short !== undefined) throw new UsageError(`'${short}' is too short: name at least ${LEAST} characters of an id`);
  if (ids.length > 0 === all) throw new UsageError(`dead ${act} takes ids, or --all (see dead ls)`);
}

async function list(inspector: Inspector, queues: readonly string[], { limit, json }: DeadFlags): Promise<number> {
  const { letters, total } = await inspector.dead.list(queues, limit);
  if (json) await printJson({ letters, total });
  else if (letters.length === 0) await print('no dead letters\n');
  else {
    const rows = letters.map(({ id, task, queue, attempt, code, reason, at }) => [
      (id ?? '-').slice(0, LEAST),
      task ?? '-',
      queue,
      `${attempt}`,
      code ?? '-',
      ago(at),
      reason ?? '-',
    ]);
    const heading = ['id', 'task', 'queue', 'run', 'code', 'age', 'reason'];
    await print(records(heading, rows, { width: columns(), paint, shrink: [6, 1, 2] }));
    if (total > letters.length) await print(paint('yellow', `… and ${total - letters.length} more: --limit, -q\n`));
  }
  return EXIT.ok;
}

async function show(
  inspector: Inspector,
  queues: readonly string[],
  { ids: [id = ''], json }: DeadFlags,
): Promise<number> {
  const letter = await inspector.dead.show(queues, id).catch(asUsage);
  if (json) await printJson(letter);
  else {
    const { stack } = letter;
    const trace = stack === undefined ? '' : `\n${stack.split('\n').map(oneLine).join('\n    ')}\n`;
    await print(facts(about(letter), paint) + paint('dim', trace));
  }
  return EXIT.ok;
}

const about = (letter: DeadLetterView): [string, string | undefined][] => [
  ['id', letter.id],
  ['task', letter.task],
  ['key', letter.key],
  ['queue', letter.queue],
  ['code', letter.code],
  ['reason', letter.reason],
  ['died', letter.at === undefined ? undefined : `${moment(letter.at)} (${ago(letter.at)} ago)`],
  ['run', String(letter.attempt)],
  ['enqueued', moment(letter.enqueuedAt)],
  ['parent', letter.parentId],
  ['args', letter.args && JSON.stringify(letter.args)],
  ['kwargs', Object.keys(letter.kwargs ?? {}).length === 0 ? undefined : JSON.stringify(letter.kwargs)],
  ['body', letter.body],
];

async function settle(inspector: Inspector, queues: readonly string[], options: DeadFlags): Promise<number> {
  const { act, all, json } = options;
  const which: Choice = all ? 'all' : options.ids;
  if (act === 'drop' && !(await agreed(await question(inspector, queues, which), options.yes))) return EXIT.failed;
  const ends: DeadLetterEnd[] = [];
  const tell = (end: DeadLetterEnd): void => {
    ends.push(end);
    progress(`${ends.length} done`);
  };
  const { dead: letters } = inspector;
  await (act === 'drop' ? letters.drop(queues, which, tell) : letters.retry(queues, which, tell)).catch(asUsage);
  progress('');
  if (json) await printJson(ends.map(plain));
  else await print(summary(ends, act));
  return ends.some(({ end }) => end === 'failed') ? EXIT.failed : EXIT.ok;
}

async function question(inspector: Inspector, queues: readonly string[], which: Choice): Promise<string> {
  const count = which === 'all' ? (await inspector.dead.list(queues, 0)).total : which.length;
  return `Drop ${many(count, 'dead letter')} of ${queues.join(', ')} for good?`;
}

function plain(end: DeadLetterEnd): object {
  const { letter, ...rest } = end;
  const error = end.end === 'failed' ? { error: end.error.message } : {};
  return { ...rest, ...error, from: letter.id, task: letter.task, key: letter.key, queue: letter.queue };
}

/** A line for each that was asked for by its id or went wrong; a count of the others. */
function summary(ends: readonly DeadLetterEnd[], act: string): string {
  const well = ends.filter(({ end }) => end === 'retried' || end === 'dropped');
  const lines = ends.filter((end) => well.length <= 20 || !well.includes(end)).map((end) => `${lineOf(end)}\n`);
  const rest = ends.length - well.length;
  const kept = rest === 0 ? '' : paint('yellow', `, ${rest} left in the dead letters`);
  return `${lines.join('')}${many(well.length, 'dead letter')} ${act === 'drop' ? 'dropped' : 'retried'}${kept}\n`;
}

function lineOf(end: DeadLetterEnd): string {
  const name = `${end.letter.id ?? 'a letter without an id'} ${end.letter.task ?? ''}`.trim();
  switch (end.end) {
    case 'dropped':
      return `dropped ${name}`;
    case 'retried':
      return `${paint('green', 'retried')} ${name} as ${end.id}`;
    case 'held':
      return `${paint('yellow', 'held')} ${name}: ${end.holder.id} has its key (${end.holder.phase})`;
    case 'unreadable':
      return `${paint('yellow', 'unreadable')} ${name}: it is no task message; dead drop removes it`;
    case 'failed':
      return `${paint('red', 'failed')} ${name}: ${oneLine(end.error.message)}`;
  }
}
