import type { Overview } from '../inspector/inspector.js';
import { EXIT } from './exit.js';
import type { OperatorOptions } from './operator-commands.js';
import { ago, columns, paint, printJson } from './out.js';
import { print } from './print.js';
import { records } from './table.js';
import { withApp } from './with-app.js';

/** `task-worker inspect`: queues, workers, what runs where. */
export async function inspect(options: OperatorOptions): Promise<number> {
  const overview = await withApp(options, async (app) => (await app.inspector()).overview());
  if (options.json) await printJson(overview);
  else await print([queues(overview), workers(overview), runs(overview)].filter((part) => part !== '').join('\n'));
  return EXIT.ok;
}

const look = (...shrink: number[]) => ({ width: columns(), paint, shrink });

function queues(overview: Overview): string {
  const rows = overview.queues.map(({ name, ready, consumers, dead }) => [name, `${ready}`, `${consumers}`, `${dead}`]);
  return records(['queue', 'ready', 'consumers', 'dead'], rows, look(0));
}

function workers({ workers: found }: Overview): string {
  if (found.length === 0) return `${paint('yellow', 'no worker is there')}\n`;
  const rows = found.map(({ name, host, pid, queues: own, concurrency, started, running }) => [
    name,
    `${host}/${pid}`,
    own.join(','),
    `${running}/${concurrency}`,
    ago(started),
  ]);
  return records(['worker', 'host/pid', 'queues', 'running', 'up'], rows, look(2, 0, 1));
}

function runs({ workers: found }: Overview): string {
  const rows = found.flatMap(({ name, runs: own }) =>
    own.map(({ task, key, id, since }) => [task, key ?? '-', id.slice(0, 8), name, ago(since)]),
  );
  return rows.length === 0 ? '' : records(['task', 'key', 'id', 'worker', 'since'], rows, look(1, 0, 3));
}
