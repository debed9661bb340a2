/**
 * What a thread of a worker runs: it loads the module that exports the app, as the main thread did, and runs bodies of
 * its tasks. Leases, deliveries and settlements stay on the main thread.
 */
import { threadId, workerData, type MessagePort } from 'node:worker_threads';
import type { App } from './app.js';
import { exportedApp } from './app-module.js';
import { IN_THREAD } from './threads.js';
import { toError } from '../errors.js';
import { openTracing } from '../tracing.js';
import { runJob, type ThreadParts } from '../worker/thread-body.js';
import {
  isTaskEvent,
  packError,
  packEvent,
  portable,
  type Job,
  type ThreadData,
  type ThreadMessage,
} from '../worker/thread-messages.js';
import type { Ending } from '../worker/run.js';

/** Loaded once, by the first job. */
let loading: Promise<{ readonly app: App; readonly parts: ThreadParts }> | undefined;
/** Of the job under way. */
let port: MessagePort | undefined;

const tell = (message: ThreadMessage): void => port?.postMessage(message);

async function load(): Promise<{ app: App; parts: ThreadParts }> {
  const { module, broker, locks } = workerData as ThreadData;
  const app = exportedApp((await import(module)) as object, module);
  app.defaults({ broker, locks });
  const parts = app[IN_THREAD]((event, payload) => isTaskEvent(event) && tell(packEvent(event, payload)));
  return { app, parts: { ...parts, tracing: await openTracing('') } };
}

/** Runs one job to its end; there is one at a time. */
export async function run(job: Job): Promise<void> {
  port = job.port;
  tell({ kind: 'hello', thread: threadId });
  const { error, value, final } = await endingOf(job);
  tell({
    kind: 'ended',
    error: error && packError(error),
    value: job.keeps ? portable(value) : undefined,
    final: final ?? false,
  });
}

async function endingOf(job: Job): Promise<Ending> {
  try {
    const { parts } = await (loading ??= load());
    return await runJob(parts, job, tell);
  } catch (thrown) {
    loading = undefined;
    return { error: toError(thrown), value: undefined };
  }
}

/** Before the thread is ended: the links of its app are closed. */
export async function close(): Promise<void> {
  await (await loading)?.app.close();
}
