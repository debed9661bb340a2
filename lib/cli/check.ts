import { toError } from '../errors.js';
import { codeOf, EXIT, exitCode } from './exit.js';
import type { InspectOptions } from './list.js';
import { demandTasks, loadApp } from './load-app.js';
import { print } from './print.js';

/** `task-worker check`: loads the app and verifies its declarations; connects to nothing. For CI. */
export async function check({ app: file, json }: InspectOptions): Promise<number> {
  if (!json) return checkForPeople(file);
  try {
    await print(`${JSON.stringify({ ok: true, ...(await verify(file)) })}\n`);
    return EXIT.ok;
  } catch (thrown) {
    const error = toError(thrown);
    await print(`${JSON.stringify({ ok: false, error: { code: codeOf(error), message: error.message } })}\n`);
    return exitCode(error);
  }
}

async function checkForPeople(file: string): Promise<number> {
  const { tasks, queues, warnings } = await verify(file);
  const lines = warnings.map((warning) => `warning: ${warning}\n`);
  await print(`${lines.join('')}ok: ${tasks} ${tasks === 1 ? 'task' : 'tasks'} on ${queues.join(', ')}\n`);
  return EXIT.ok;
}

async function verify(file: string): Promise<{ tasks: number; queues: string[]; warnings: readonly string[] }> {
  const { definitions, warnings } = demandTasks(await loadApp(file));
  return { tasks: definitions.length, queues: [...new Set(definitions.map(({ queue }) => queue))], warnings };
}
