import { App, type MethodName } from '../app/app.js';
import type { Stub } from '../app/stub.js';
import { Registry } from '../declarations/registry.js';
import { duration } from '../duration.js';
import { ConfigError, DeadTasksError, NotATaskError } from '../errors.js';
import type { MemoryLocks } from '../guards/memory.js';
import { checkFlag, checkInteger, checkOptions } from '../options.js';
import { currentApp } from '../task-context.js';
import type { Class } from '../task-definition.js';
import { Crew, type CrewParts } from './crew.js';
import type { DeadCall, DiscardedCall, EnqueuedCall } from './ledger.js';

/** Options of `drain()`. */
export interface DrainOptions {
  /**
   * How much time to let pass, ms or a string: what falls due later waits on. `0` runs what is due now.
   * @default as much as it takes
   */
  readonly within?: number | string;
  /** Resolve although tasks died: the test looks at `dead` itself. @default false */
  readonly allowDead?: boolean;
  /** Bodies at once; one after the other makes a test repeatable. @default 1 */
  readonly concurrency?: number;
  /** Ends a drain that would have no end, with an error. @default 10000 */
  readonly runs?: number;
}

/** What happened during one `drain()`. */
export interface DrainSummary {
  /** Tasks that ended well. */
  readonly succeeded: number;
  /** Runs that failed and were followed by another. */
  readonly retried: number;
  /** Duplicates that were dropped. */
  readonly discarded: number;
  /** Tasks that went to the dead letters. */
  readonly dead: readonly DeadCall[];
  /** Messages that are not due yet. */
  readonly waiting: number;
}

/** The parameters of a task method. */
type ArgsOf<T, M extends MethodName<T>> = Parameters<Stub<T>[M]>;

/** What a test does with its app, besides all that an app can do. */
export interface TestTools {
  /**
   * Runs everything that waits, and what that enqueues, until nothing is left. Delays and back-offs are skipped, not
   * waited for.
   * @throws DeadTasksError when tasks died, unless `allowDead` is set; TaskError `ENDLESS` after `runs` runs.
   */
  drain(options?: DrainOptions): Promise<DrainSummary>;
  /** What was enqueued since the last reset, in its order, ended or not: of one task, or of all. */
  enqueued<T extends object, M extends MethodName<T>>(
    service: Class<T>,
    method: M,
  ): readonly EnqueuedCall<ArgsOf<T, M>>[];
  enqueued(): readonly EnqueuedCall[];
  /** Duplicates that were dropped since the last reset, at enqueue or by the worker: of one task, or of all. */
  discarded<T extends object>(service: Class<T>, method: MethodName<T>): readonly DiscardedCall[];
  discarded(): readonly DiscardedCall[];
  /** What went to the dead letters since the last reset: of one task, or of all. */
  dead<T extends object, M extends MethodName<T>>(service: Class<T>, method: M): readonly DeadCall<ArgsOf<T, M>>[];
  dead(): readonly DeadCall[];
  /** Forgets every message, every lock and all that happened. @throws ConfigError while a drain is under way. */
  reset(): void;
}

const KNOWN = ['within', 'allowDead', 'concurrency', 'runs'] as const;

function drainSettings(options: DrainOptions) {
  const { within, allowDead, concurrency, runs } = checkOptions(options, KNOWN, 'drain()');
  return {
    within: within === undefined ? undefined : duration(within, 'within of drain()'),
    allowDead: checkFlag(allowDead, 'allowDead of drain()', false),
    concurrency: checkInteger(concurrency ?? 1, 'concurrency of drain()', 1, 1_000),
    runs: checkInteger(runs ?? 10_000, 'runs of drain()', 1, Number.MAX_SAFE_INTEGER),
  };
}

/** The tools of one app. `crew` works, `locks` are what the app's guard keeps. */
export function makeTools(parts: CrewParts & { readonly crew: Crew; readonly locks: MemoryLocks }): TestTools {
  const { app, ledger, crew, broker, locks } = parts;
  const select = <C extends { task: string }>(calls: readonly C[], service?: Class, method?: string): readonly C[] => {
    if (service === undefined) return calls;
    const name = nameOf(app, service, String(method));
    return calls.filter(({ task }) => task === name);
  };
  const tools = {
    drain: (options: DrainOptions = {}) => drain(parts, options),
    enqueued: (service?: Class, method?: string) => select(ledger.enqueued, service, method),
    discarded: (service?: Class, method?: string) => select(ledger.discarded, service, method),
    dead: (service?: Class, method?: string) => select(ledger.dead, service, method),
    reset: (): void => {
      if (crew.onDuty) throw new ConfigError('reset() while tasks run: await drain() and the enqueues first');
      broker.clear();
      locks.clear();
      ledger.reset();
    },
    close: (): Promise<void> => {
      crew.close();
      return App.prototype.close.call(app);
    },
  };
  // The arguments are those of the task that was asked for: unpacked by its own definition.
  return tools as unknown as TestTools;
}

async function drain({ clock, ledger, crew, broker }: CrewParts & { crew: Crew }, options: DrainOptions) {
  const { within, allowDead, ...settings } = drainSettings(options);
  if (currentApp() !== undefined) throw new ConfigError('drain() in the body of a task would wait for itself');
  const { succeeded, retried } = ledger.tally;
  const [discarded, deaths] = [ledger.discarded.length, ledger.dead.length];
  await crew.untilQuiet({ ...settings, end: within === undefined ? undefined : clock.now() + within });
  const summary: DrainSummary = {
    succeeded: ledger.tally.succeeded - succeeded,
    retried: ledger.tally.retried - retried,
    discarded: ledger.discarded.length - discarded,
    dead: ledger.dead.slice(deaths),
    waiting: broker.delayed.count,
  };
  if (!allowDead && summary.dead.length > 0) throw deadTasks(summary);
  return summary;
}

/** A test that does not look must not pass: so a death is thrown, with the first one's error as the cause. */
function deadTasks(summary: DrainSummary): DeadTasksError {
  const lines = summary.dead.map(({ task, args, attempt, error }) => {
    return `${task}(${JSON.stringify(args).slice(1, -1)}), run ${attempt}: ${error.message}`;
  });
  const count = `${lines.length} task${lines.length === 1 ? '' : 's'} died`;
  return new DeadTasksError([`${count}:`, ...lines].join('\n  '), { summary }, summary.dead[0]?.error);
}

/** The task's name; a typing error is refused as at an enqueue. */
function nameOf(app: App, service: Class, method: string): string {
  const { name } = new Registry([service]).of(service, method);
  if (app.lists(service)) return name;
  throw new NotATaskError(`${service.name} is not listed in the app's services`, { service: service.name, method });
}
