import { agreed } from './ask.js';
import { EXIT } from './exit.js';
import type { PurgeFlags } from './operator-commands.js';
import { many, paint, printJson, progress } from './out.js';
import { print } from './print.js';
import { queuesAsked, withApp } from './with-app.js';

/** `task-worker purge`: empties queues, and frees the keys of what was in them. */
export async function purge(options: PurgeFlags): Promise<number> {
  return withApp(options, async (app) => {
    const queues = queuesAsked(app, options.queues);
    const inspector = await app.inspector();
    const ready = await Promise.all(queues.map((queue) => inspector.ready(queue)));
    const total = ready.reduce((sum, one) => sum + one, 0);
    const question = `Drop ${many(total, 'message')} of ${queues.join(', ')}?`;
    if (total > 0 && !(await agreed(question, options.yes))) return EXIT.failed;
    const counts = [];
    for (const queue of queues) {
      const count = await inspector.purge(queue, ({ dropped }) => progress(`${queue}: ${dropped} dropped`));
      progress('');
      counts.push({ queue, ...count });
      if (!options.json) await print(`${queue}: ${text(count)}\n`);
    }
    if (options.json) await printJson(counts);
    return EXIT.ok;
  });
}

function text({ dropped, unreadable, left }: { dropped: number; unreadable: number; left: number }): string {
  const strange = unreadable === 0 ? '' : ` (${unreadable} unreadable)`;
  const rest =
    left === 0 ? '' : paint('yellow', `, ${left} left: still running, or newer arguments wait for their runs`);
  return `${many(dropped, 'message')} dropped${strange}${rest}`;
}
