import type { App } from '../app/app.js';
import { pause, systemClock } from '../clock.js';
import { hint } from '../nearest.js';
import { settleAddresses } from './addresses.js';
import { UsageError } from './exit.js';
import { loadApp } from './load-app.js';
import type { OperatorOptions } from './operator-commands.js';

/** How long the links may take to close, ms. */
const CLOSE_TIME = 5_000;

/** Loads the app, connects it, lets `use` work with it and closes it. */
export async function withApp<T>(
  { app: file, connectTimeout }: OperatorOptions,
  use: (app: App) => Promise<T>,
): Promise<T> {
  return connected(await loadApp(file), connectTimeout, use);
}

/** The same with an app that is loaded. */
export async function connected<T>(app: App, timeout: number, use: (app: App) => Promise<T>): Promise<T> {
  settleAddresses(app, process.env);
  try {
    await app.connect({ timeout });
    return await use(app);
  } finally {
    await Promise.race([app.close(), pause(systemClock, CLOSE_TIME)]);
  }
}

/** The queues asked for, or all of the app's. @throws UsageError for a name that no task uses. */
export function queuesAsked({ definitions }: App, asked: readonly string[] | undefined): readonly string[] {
  const known = [...new Set(definitions.map(({ queue }) => queue))];
  const stranger = asked?.find((name) => !known.includes(name));
  if (stranger === undefined) return [...new Set(asked ?? known)];
  throw new UsageError(`no task is on the queue '${stranger}'${hint(stranger, known)} (queues: ${known.join(', ')})`);
}
