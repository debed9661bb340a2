import { ConfigError, toError } from '../errors.js';
import { pack as packResult } from './result-keeper.js';
import type { Registry } from '../declarations/registry.js';
import { unpack } from '../declarations/payload.js';
import { Signals } from '../signals.js';
import type { Soon } from '../soon.js';
import type { TaskDefinition } from '../task-definition.js';
import type { Tracing } from '../tracing.js';
import { callBody, type BodyParts } from './body.js';
import { RunContext, type RunView } from './run-context.js';
import type { Ending } from './run.js';
import { packEvent, unpackError, type Abort, type Job, type ThreadMessage } from './thread-messages.js';

/** What a thread's own app gives it. */
export interface ThreadParts extends BodyParts {
  readonly registry: Registry;
  /** Undefined without OpenTelemetry. */
  readonly tracing?: Tracing | undefined;
}

/** What a run in a thread shows of itself; its lease is on the main thread. */
function viewOf({ head, event, fence, redelivered, rerun }: Job, signal: AbortSignal): RunView {
  return {
    head,
    lock: event.key === undefined ? undefined : { key: event.key },
    lease: fence === undefined ? undefined : { identity: { fence } },
    signal,
    delivery: { redelivered },
    rerun,
    event: () => event,
  };
}

function definitionOf({ registry }: ThreadParts, { head }: Job): TaskDefinition {
  const definition = registry.find(head.task);
  if (definition !== undefined) return definition;
  const text = `the app that this thread has loaded declares no task ${head.task}: threads.module names another app's module`;
  throw new ConfigError(text, { task: head.task });
}

/** Runs the body of a job, in a thread. Never rejects. `tell` goes to the main thread. */
export async function runJob(parts: ThreadParts, job: Job, tell: (message: ThreadMessage) => void): Promise<Ending> {
  const controller = new AbortController();
  job.port.on('message', ({ reason }: Abort) => controller.abort(unpackError(reason)));
  const signals = new Signals();
  signals.divert((event, payload) => tell(packEvent(event, payload)));
  const context = new RunContext(viewOf(job, controller.signal), signals);
  try {
    const definition = definitionOf(parts, job);
    const args = unpack(definition, job.args, job.kwargs);
    tell({ kind: 'began' });
    const body = (): Soon<Ending> => callBody(parts, definition, args, context);
    const ending = await (parts.tracing?.within(job.trace, body) ?? body());
    // Packed here, where a class that writes itself as JSON still can.
    return ending.error !== undefined || !job.keeps
      ? ending
      : { ...ending, value: packResult(job.head.task, ending.value) };
  } catch (thrown) {
    return { error: toError(thrown), value: undefined, final: true };
  }
}
