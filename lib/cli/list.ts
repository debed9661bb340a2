import { describeTask, retryText, strategyText, type TaskDescription } from './describe-task.js';
import { EXIT } from './exit.js';
import { loadApp } from './load-app.js';
import { print } from './print.js';
import { table } from './table.js';

/** Options of `list` and `check`. */
export interface InspectOptions {
  readonly app: string;
  readonly json: boolean;
}

/** `task-worker list`: the app's tasks, as a table or as a JSON array of `TaskDescription`. */
export async function list({ app: file, json }: InspectOptions): Promise<number> {
  const { definitions } = await loadApp(file);
  const tasks = definitions.map(describeTask);
  await print(json ? `${JSON.stringify(tasks, null, 2)}\n` : tasksTable(tasks, process.stdout.columns || 80));
  return EXIT.ok;
}

export function tasksTable(tasks: readonly TaskDescription[], width: number): string {
  const heading = ['task', 'queue', 'unique key', 'strategy', 'retry'];
  const rows = tasks.map((task) => [task.task, task.queue, task.key ?? '-', strategyText(task), retryText(task.retry)]);
  return table(heading, rows, width);
}
