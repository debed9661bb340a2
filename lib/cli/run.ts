import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { App } from '../app/app.js';
import type { AppWorker } from '../app/worker-handle.js';
import { pause, systemClock } from '../clock.js';
import { toError } from '../errors.js';
import { settleAddresses } from './addresses.js';
import { banner, type BannerFacts } from './banner.js';
import { painter } from './colours.js';
import type { RunOptions } from './command-line.js';
import { describeTask, type TaskDescription } from './describe-task.js';
import { logEvents } from './event-lines.js';
import { codeOf, EXIT, exitCode, explained, UsageError } from './exit.js';
import { HealthServer } from './health-server.js';
import { demandTasks, loadApp } from './load-app.js';
import { createLog, type Log, type LogOptions } from './log.js';
import { Stopper } from './stopper.js';
import { queuesAsked } from './with-app.js';

/** How long the links may take to close after the work is done, ms. */
const CLOSE_TIME = 5_000;

/** `task-worker run`: consumes until a signal; resolves to the exit status. Never rejects. */
export async function run(options: RunOptions, version: string): Promise<number> {
  const worker = options.name.replaceAll('%h', hostname()).replaceAll('%p', String(process.pid));
  const format = options.logFormat ?? (process.stdout.isTTY ? 'pretty' : 'json');
  const looks: LogOptions = { format, level: options.logLevel, worker, fd: 1 };
  const log = createLog(looks);
  const stopper = new Stopper(log, systemClock, options.shutdownTimeout);
  stopper.listen();
  const probes = new HealthServer();
  const launching = launch({ options, version, log, looks, stopper, probes });
  try {
    const app = await Promise.race([launching, stopper.ended.then(() => undefined)]);
    const status = await stopper.ended;
    if (app !== undefined) await Promise.race([app.close(), pause(systemClock, CLOSE_TIME)]);
    return status;
  } catch (thrown) {
    return giveUp(toError(thrown), looks);
  } finally {
    probes.close();
  }
}

/** What a launch needs. */
interface Launch {
  readonly options: RunOptions;
  readonly version: string;
  readonly log: Log;
  readonly looks: LogOptions;
  readonly stopper: Stopper;
  readonly probes: HealthServer;
}

async function launch({ options, version, log, looks, stopper, probes }: Launch): Promise<App> {
  if (options.healthPort !== undefined) await serve(probes, options.healthPort, log);
  const app = demandTasks(await loadApp(options.app));
  const worker = workerOf(app, options);
  settleAddresses(app, process.env);
  if (options.healthPort !== undefined) {
    await app.metrics();
    probes.watch(app, worker);
  }
  for (const warning of app.warnings) log.warn({ event: 'app:warning' }, warning);
  logEvents(app, log);
  // Waiting does not mend a login that is refused while the worker runs: its supervisor has to hear of it.
  app.on('broker:disconnected', ({ error }) => {
    if (error !== undefined && codeOf(error) === 'ACCESS_REFUSED') stopper.crash(error, 'RabbitMQ refuses this worker');
  });
  const text = `connecting to RabbitMQ and Redis, up to ${options.connectTimeout / 1000} s`;
  log.info({ event: 'worker:connecting' }, text);
  const addresses = await app.connect({ timeout: options.connectTimeout, name: looks.worker });
  introduce(
    { version, worker: looks.worker, ...addresses, ...worker.settings, tasks: app.definitions.map(describeTask) },
    log,
    looks,
  );
  stopper.guard(worker);
  const { once, maxTasks } = options;
  // It may be over before all of its queues are attached.
  if (maxTasks !== undefined) app.on('worker:quiet', () => finish(worker, stopper, `${maxTasks} runs were begun`));
  await worker.start();
  if (once) finish(worker, stopper, 'its queues are empty');
  return app;
}

async function serve(probes: HealthServer, asked: number, log: Log): Promise<void> {
  const port = await probes.listen(asked);
  log.info({ event: 'worker:probes', port }, `/livez, /readyz and /metrics on port ${port}`);
}

/** The last tasks have all the time that they take, unless a signal comes: nobody waits for the worker's place. */
function finish(worker: AppWorker, stopper: Stopper, why: string): void {
  const failed = (thrown: unknown): void => stopper.crash(toError(thrown), 'nobody knows what is left to do');
  worker.drained().then(() => stopper.finish(why), failed);
}

function workerOf(app: App, options: RunOptions): AppWorker {
  const queues = queuesOf(app, options);
  const { concurrency, prefetch, maxTasks, taskEvents } = options;
  try {
    return app.worker({
      queues,
      threads: { module: resolve(options.app) },
      taskEvents,
      ...(concurrency && { concurrency }),
      ...(prefetch && { prefetch }),
      ...(maxTasks && { maxTasks }),
    });
  } catch (thrown) {
    // The tasks are resolved by now: only the flags can be wrong.
    throw new UsageError(toError(thrown).message, thrown);
  }
}

/** Those asked for, or all of the app's, without those left out. A name that no task uses is a typing error. */
function queuesOf(app: App, { queues, excludeQueues }: RunOptions): Record<string, number | true> {
  const asked = queuesAsked(app, queues && [...queues.keys()]);
  const left = asked.filter((name) => !queuesAsked(app, excludeQueues ?? []).includes(name));
  if (left.length === 0) throw new UsageError('no queue is left to consume');
  return Object.fromEntries(left.map((name) => [name, queues?.get(name) ?? true]));
}

const names = (tasks: readonly TaskDescription[]): string[] => tasks.map(({ task }) => task);

function introduce(facts: BannerFacts, log: Log, { format }: LogOptions): void {
  if (format === 'pretty') process.stdout.write(banner(facts, painter(process.stdout.isTTY, process.env)));
  else {
    const { version, broker, locks, tasks } = facts;
    const long = tasks.filter((task) => task.long !== null);
    log.info(
      { event: 'worker:connected', version, broker, locks, tasks: names(tasks), long: names(long) },
      `solotask ${version}`,
    );
  }
}

/** One line on stderr, in the log's format. The stack only for what nobody foresaw, and at the debug level. */
function giveUp(error: Error, looks: LogOptions): number {
  const status = exitCode(error);
  const wordy = status === EXIT.failed || looks.level === 'debug' || looks.level === 'trace';
  const log = createLog({ ...looks, level: 'fatal', fd: 2 });
  log.fatal({ event: 'worker:failed', code: codeOf(error), exit: status, ...(wordy && { error }) }, explained(error));
  return status;
}
