import type { App } from '../app/app.js';
import type { LockView } from '../inspector/locks.js';
import { asUsage, EXIT, UsageError } from './exit.js';
import type { LocksFlags } from './operator-commands.js';
import { columns, moment, paint, printJson, span, ago } from './out.js';
import { print } from './print.js';
import { facts, records } from './table.js';
import { withApp } from './with-app.js';

/** `task-worker locks`: who holds which key. */
export async function locks(options: LocksFlags): Promise<number> {
  const { act } = options;
  return withApp(options, (app) => (act === 'ls' ? list : act === 'show' ? show : remove)(app, options));
}

async function list(app: App, { match, limit, json }: LocksFlags): Promise<number> {
  const { locks: held, more } = await (await app.inspector()).locks.list({ match, limit });
  if (json) await printJson({ locks: held, more });
  else if (held.length === 0) await print('nobody holds a key\n');
  else {
    const rows = held.map((lock) => [
      lock.task,
      lock.key,
      lock.phase ?? '-',
      (lock.owner ?? '-').slice(0, 8),
      ago(lock.since),
      left(lock),
    ]);
    const heading = ['task', 'key', 'phase', 'holder', 'since', 'left'];
    await print(records(heading, rows, { width: columns(), paint, shrink: [1, 0] }));
    if (more) await print(paint('yellow', `… and more than these ${limit}: --limit, --match\n`));
  }
  return EXIT.ok;
}

const left = (lock: LockView): string => (lock.left > 0 ? span(lock.left) : 'ended');

async function show(app: App, { key, json }: LocksFlags): Promise<number> {
  const lock = await find(app, key);
  if (json) await printJson(lock ?? null);
  else await print(lock === undefined ? `nothing is known of ${key}\n` : facts(about(lock), paint));
  return lock === undefined ? EXIT.failed : EXIT.ok;
}

async function find(app: App, key: string): Promise<LockView | undefined> {
  return (await app.inspector()).locks.show(key).catch(asUsage);
}

function about(lock: LockView): [string, string | undefined][] {
  const { done } = lock;
  const held = lock.owner !== undefined;
  return [
    ['task', lock.task],
    ['key', lock.key],
    ['phase', lock.phase ?? 'free'],
    ['holder', lock.owner],
    ['since', held ? `${moment(lock.since)} (${ago(lock.since)})` : undefined],
    ['left', held ? left(lock) : undefined],
    ['fence', String(lock.fence)],
    ['waiting', lock.pending ? 'newer arguments' : undefined],
    ['done', done && `${done.id}, fence ${done.fence}${done.dead ? ' (dead letter)' : ''}`],
    ['record', lock.record],
  ];
}

/** What taking the key from its holder breaks. */
const RISKS: Readonly<Record<string, string>> = {
  publishing: 'its message may still appear in the queue, beside that of the next enqueue',
  queued: 'its message stays in the queue and runs all the same, beside that of the next enqueue, one after the other',
  running: 'its body is aborted at the next renewal (a third of its lease), and until then another may run beside it',
  kept: 'duplicates are accepted again before their time',
};

async function remove(app: App, { key, force, json }: LocksFlags): Promise<number> {
  const lock = await find(app, key);
  const phase = lock?.phase ?? 'free';
  const risk = RISKS[phase];
  if (lock !== undefined && lock.left > 0 && !force) {
    throw new UsageError(`${lock.owner} holds ${key} (${phase}, ${left(lock)} left): ${risk}; --force takes it away`);
  }
  const end = lock === undefined ? 'free' : await (await app.inspector()).locks.remove(lock);
  if (json) await printJson({ end, lock });
  else await print(`${told(end, key, lock)}\n`);
  return EXIT.ok;
}

function told(end: 'removed' | 'free' | 'changed', key: string, lock: LockView | undefined): string {
  if (end === 'free') return `nobody holds ${key}`;
  if (end === 'changed') return `${paint('yellow', 'another task holds it by now')}, and keeps it: ${key}`;
  const { phase = 'queued', left: time = 0 } = lock ?? {};
  return `${paint('green', 'removed')} ${key}${time > 0 ? `: ${RISKS[phase]}` : ''}`;
}
