import type { App } from '../app/app.js';
import type { CallOptions } from '../app/call-options.js';
import type { Receipt } from '../client/receipt.js';
import { hint } from '../nearest.js';
import type { Class, TaskDefinition } from '../task-definition.js';
import { EXIT, UsageError } from './exit.js';
import { loadApp } from './load-app.js';
import type { EnqueueFlags } from './operator-commands.js';
import { paint, printJson } from './out.js';
import { print } from './print.js';
import { facts } from './table.js';
import { connected } from './with-app.js';

/** `app.enqueue` of a task that is only known at run time. */
type ByName = (service: Class, method: string, args: readonly unknown[], options: CallOptions) => Promise<Receipt>;

/** `task-worker enqueue`: one call, by the task's name; prints its receipt. */
export async function enqueue(options: EnqueueFlags): Promise<number> {
  const args = argsOf(options.args);
  const app = await loadApp(options.app);
  const { service, method, name } = definitionOf(app, options.task);
  const receipt: Receipt = await connected(app, options.connectTimeout, () =>
    (app.enqueue as ByName).call(app, service, method, args, options.call as CallOptions),
  );
  const { status, id, key, holder } = receipt;
  if (options.json) await printJson({ status, task: name, id, key, holder });
  else {
    const who = holder === undefined ? undefined : `${holder.id} (${holder.phase})`;
    const style = status === 'enqueued' ? 'green' : 'yellow';
    await print(
      `${paint(style, status)} ${name}\n${facts(
        [
          ['id', id],
          ['key', key],
          ['holder', who],
        ],
        paint,
      )}`,
    );
  }
  return EXIT.ok;
}

function argsOf(text: string): readonly unknown[] {
  const right = `--args takes a JSON array, one element for each parameter: --args '[42, "text"]'`;
  let args: unknown;
  try {
    args = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`${right}; this is no JSON: ${text}`, error);
  }
  if (Array.isArray(args)) return args;
  throw new UsageError(`${right}; a single argument has brackets too: --args '[${text}]'`);
}

function definitionOf({ definitions }: App, task: string): TaskDefinition {
  const found = definitions.find(({ name }) => name === task);
  if (found !== undefined) return found;
  const known = definitions.map(({ name }) => name);
  throw new UsageError(`there is no task '${task}'${hint(task, known)} (tasks: ${known.join(', ')})`);
}
