import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { pathToFileURL } from 'node:url';
import { isMainThread, workerData } from 'node:worker_threads';
import type { AppSettings } from './app-options.js';
import type { Registry } from '../declarations/registry.js';
import { ConfigError } from '../errors.js';
import { checkInteger, checkOptions, wrong } from '../options.js';
import type { ThreadData } from '../worker/thread-messages.js';
import type { ThreadSettings } from '../worker/thread-pool.js';
import type { ThreadOptions, WorkerSettings } from '../worker/worker-settings.js';

/** By this symbol a thread speaks to the app that its module exports. */
export const IN_THREAD = Symbol.for('solotask.inThread');

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const ENTRY = new URL(`./thread${EXTENSION}`, import.meta.url);
const KNOWN = ['module', 'size', 'memory'] as const;
const HOW = "threads: { module: new URL('./app.js', import.meta.url) }";

/** Is this code in a thread that runs tasks? */
export function inThread(): boolean {
  return !isMainThread && (workerData as Partial<ThreadData> | null)?.solotask === true;
}

/** A thread loads the app's module: were a worker started there, it would start threads that start workers. */
export function refuseWorkerInThread(): void {
  if (!inThread()) return;
  const { module } = workerData as ThreadData;
  throw new ConfigError(
    `${module} starts a worker as it is loaded, and every thread loads it: let it export the app alone, and start the worker in another module`,
    { module },
  );
}

/** Memory parts are those of the main thread: what a thread published there, nobody would ever get. */
export function refuseMemoryInThread({ broker, locks }: Pick<AppSettings, 'broker' | 'locks'>): void {
  if (!inThread() || (broker !== 'memory:' && locks !== 'memory:')) return;
  throw new ConfigError(
    "a task with thread: true cannot enqueue on 'memory:', which its thread does not share; use RabbitMQ and Redis, or leave thread out",
    { option: broker === 'memory:' ? 'broker' : 'locks' },
  );
}

function checkModule(module: unknown): URL | undefined {
  if (module === undefined) return undefined;
  const url = module instanceof URL ? module : locate(module);
  if (url?.protocol !== 'file:') throw wrong('threads.module of a worker', module, `a file: URL or a path: ${HOW}`);
  if (existsSync(url)) return url;
  throw new ConfigError(`threads.module of a worker: there is no ${url.href}; name the module that exports the app`, {
    option: 'threads.module',
  });
}

function locate(module: unknown): URL | undefined {
  if (typeof module !== 'string' || module === '') return undefined;
  return URL.canParse(module) ? new URL(module) : pathToFileURL(module);
}

const ifText = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function textsOf(locks: AppSettings['locks']): string | readonly string[] | undefined {
  const list = Array.isArray(locks) && locks.every((node) => typeof node === 'string');
  return list ? (locks as readonly string[]) : ifText(locks);
}

/**
 * The threads of a worker; undefined when no task of its queues wants one.
 * @throws ConfigError for a wrong option, and when nobody said which module exports the app.
 */
export function threadsOf(
  options: ThreadOptions | undefined,
  { queues, concurrency }: WorkerSettings,
  registry: Registry,
): ((links: Pick<AppSettings, 'broker' | 'locks'>) => ThreadSettings) | undefined {
  const given = checkOptions(options ?? {}, KNOWN, 'threads of a worker');
  const module = checkModule(given.module);
  const most = Math.min(concurrency, availableParallelism());
  const size = checkInteger(given.size ?? most, 'threads.size of a worker', 1, 1_024);
  const memory =
    given.memory === undefined ? undefined : checkInteger(given.memory, 'threads.memory of a worker', 16, 1_048_576);
  const task = registry.definitions.find(({ thread, queue }) => thread && queues.includes(queue));
  if (task === undefined) return undefined;
  if (module === undefined) {
    const text = `${task.name} has thread: true, and a thread has to load the module that exports the app: app.worker({ ${HOW} })`;
    throw new ConfigError(text, { task: task.name, option: 'threads.module' });
  }
  return ({ broker, locks }) => {
    const data: ThreadData = { solotask: true, module: module.href, broker: ifText(broker), locks: textsOf(locks) };
    return { entry: ENTRY, data, size, memory };
  };
}
