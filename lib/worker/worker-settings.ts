import type { Registry } from '../declarations/registry.js';
import { checkQueue } from '../declarations/task-settings.js';
import { checkFlag, checkInteger, checkOptions, wrong } from '../options.js';

/** How a worker is set up. */
export interface WorkerOptions {
  /**
   * Their names, or, with bodies of their own, `{ fast: 20, slow: 2, other: true }`: at most 20 of `fast` and 2 of `slow`
   * run at once, whatever else runs; those without a number (`true`) share `concurrency`, and take turns.
   * @default every queue of the app's tasks
   */
  readonly queues?: readonly string[] | Readonly<Record<string, number | true>>;
  /** Bodies that run at once, over all queues without a number of their own. @default 10 */
  readonly concurrency?: number;
  /** Deliveries per queue that are not settled. Those above the concurrency wait for locks. @default concurrency + 10 */
  readonly prefetch?: number;
  /** After so many runs it goes quiet by itself; never more bodies are begun. @default no limit */
  readonly maxTasks?: number;
  /** For tasks with `thread: true`. */
  readonly threads?: ThreadOptions;
  /**
   * Be seen as a Celery worker is: send Celery's events, for Flower and `celery events`, and answer `celery inspect`. Over
   * RabbitMQ only; `memory:` has nobody who could look. @default false
   */
  readonly taskEvents?: boolean;
}

/** The threads of a worker. */
export interface ThreadOptions {
  /**
   * The module that exports the app: a file URL, or a path. Each thread loads it. `task-worker` knows it; in code it has
   * to be said.
   */
  readonly module?: string | URL;
  /** Threads at once; each takes a core. @default the concurrency, and not more than the machine has cores */
  readonly size?: number;
  /** Of the heap of each, MiB; a task that needs more fails with a `ThreadCrashedError`. @default what Node gives it */
  readonly memory?: number;
}

/** Queues whose bodies share a number of places. */
export interface Lane {
  readonly queues: readonly string[];
  /** Bodies that run at once. */
  readonly concurrency: number;
  /** Deliveries of each queue that are not settled. */
  readonly prefetch: number;
}

/** The settings with their defaults, checked. */
export interface WorkerSettings {
  readonly queues: readonly string[];
  /** Bodies that run at once, in all. */
  readonly concurrency: number;
  /** A queue with a number is in a lane by itself. */
  readonly lanes: readonly Lane[];
  /** `Infinity`: no limit. */
  readonly maxTasks: number;
  /** Whether Celery's monitors see it. */
  readonly taskEvents: boolean;
}

const KNOWN = ['queues', 'concurrency', 'prefetch', 'maxTasks', 'threads', 'taskEvents'] as const;
const MOST = 65_535;
/** Deliveries per queue that may wait for locks, where nobody says how many. */
const ROOM = 10;

/** Checks what `app.worker()` was given. @throws ConfigError */
export function workerSettings(options: WorkerOptions, registry: Registry): WorkerSettings {
  checkOptions(options, KNOWN, 'a worker');
  const wished = queuesOf(options.queues ?? registry.definitions.map(({ queue }) => queue));
  const shared = size(options.concurrency ?? 10, 'concurrency of a worker');
  const sharing = [...wished].flatMap(([queue, own]) => (own === true ? [queue] : []));
  const own = [...wished].flatMap(([queue, count]) => (count === true ? [] : [lane([queue], count, options)]));
  const lanes = sharing.length === 0 ? own : [...own, lane(sharing, shared, options)];
  const { maxTasks = Infinity } = options;
  if (maxTasks !== Infinity) checkInteger(maxTasks, 'maxTasks of a worker', 1, Number.MAX_SAFE_INTEGER);
  const concurrency = lanes.reduce((sum, each) => sum + each.concurrency, 0);
  const taskEvents = checkFlag(options.taskEvents, 'taskEvents of a worker', false);
  return { queues: [...wished.keys()], concurrency, lanes, maxTasks, taskEvents };
}

const size = (value: unknown, what: string): number => checkInteger(value, what, 1, MOST - ROOM);

function lane(queues: readonly string[], concurrency: number, { prefetch }: WorkerOptions): Lane {
  const given = prefetch ?? concurrency + ROOM;
  return { queues, concurrency, prefetch: checkInteger(given, 'prefetch of a worker', concurrency, MOST) };
}

function queuesOf(queues: NonNullable<WorkerOptions['queues']>): ReadonlyMap<string, number | true> {
  const right = 'at least one queue: an array of names, or { name: number } (true: without a number of its own)';
  if (typeof queues !== 'object' || queues === null) throw wrong('queues of a worker', queues, right);
  const entries = Array.isArray(queues) ? queues.map((name: string) => [name, true] as const) : Object.entries(queues);
  if (entries.length === 0) throw wrong('queues of a worker', queues, right);
  for (const [name, count] of entries) {
    checkQueue(name, 'a queue of a worker');
    if (count !== true) size(count, `queue '${name}' of a worker`);
  }
  return new Map(entries);
}
