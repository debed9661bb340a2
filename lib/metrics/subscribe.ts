import type { DiscardReason, RunEvent, Signals } from '../signals.js';
import type { TaskDefinition } from '../task-definition.js';
import type { Declared } from './declared.js';
import type { Names } from './names.js';

/** What is counted, and of which tasks. */
interface Counted {
  readonly signals: Signals;
  readonly definitions: readonly TaskDefinition[];
}

const REASONS: readonly DiscardReason[] = ['queued', 'running', 'kept', 'done'];
/** The usual ones; others come up when they happen. */
const DEAD_CODES = ['FAILED', 'PAYLOAD', 'REJECTED'];
type RunOutcome = 'succeeded' | 'failed' | 'aborted';
const OUTCOMES: readonly RunOutcome[] = ['succeeded', 'failed', 'aborted'];

/** Why a run was ended from outside: it is delivered again, and its body has not failed. */
const ABORTS: ReadonlySet<unknown> = new Set(['LEASE_LOST', 'DELIVERY_LOST', 'WORKER_STOPPED']);

const outcomeOf = (error: Error): RunOutcome => (ABORTS.has((error as { code?: unknown }).code) ? 'aborted' : 'failed');

/** Turns events into counts, for good. */
export function count(parts: Counted, metrics: Declared, names: Names): void {
  startAtZero(parts, metrics);
  countEnqueues(parts.signals, metrics, names);
  countRuns(parts.signals, metrics, names);
  countEnds(parts.signals, metrics, names);
  countReconnects(parts.signals, metrics);
}

/** A series that begins with 1 has not risen, as Prometheus sees it: the first failure would be missed. */
function startAtZero({ definitions }: Counted, metrics: Declared): void {
  const { enqueued, unguarded, enqueueFailures, reruns, retries, expired } = metrics;
  const { overdue, locksLost, resultsLost, publishFailures } = metrics;
  const plain = [enqueued, unguarded, enqueueFailures, reruns, retries, expired];
  for (const { name: task, queue } of definitions) {
    const labels = { task, queue };
    for (const counter of [...plain, overdue, locksLost, resultsLost, publishFailures]) counter.inc(labels, 0);
    for (const outcome of OUTCOMES) metrics.runs.inc({ ...labels, outcome }, 0);
    for (const reason of DEAD_CODES) metrics.dead.inc({ ...labels, reason }, 0);
    for (const reason of REASONS) metrics.discarded.inc({ task, reason }, 0);
    metrics.coalesced.inc({ task }, 0);
  }
}

function countEnqueues(signals: Signals, metrics: Declared, names: Names): void {
  signals.on('task:enqueued', (event) => {
    const labels = names.of(event);
    metrics.enqueued.inc(labels);
    if (event.unguarded) metrics.unguarded.inc(labels);
  });
  signals.on('enqueue:failed', (event) => metrics.enqueueFailures.inc(names.of(event)));
  signals.on('task:discarded', ({ task, reason }) => metrics.discarded.inc({ task: names.task(task), reason }));
  signals.on('task:coalesced', ({ task }) => metrics.coalesced.inc({ task: names.task(task) }));
}

function countRuns(signals: Signals, metrics: Declared, names: Names): void {
  const ended = (event: RunEvent & { seconds: number }, outcome: RunOutcome): void => {
    const labels = names.of(event);
    metrics.runs.inc({ ...labels, outcome });
    metrics.runTime.observe(labels, event.seconds);
  };
  signals.on('task:started', (event) => {
    const labels = names.of(event);
    const { rerun, waitSeconds, claimSeconds } = event;
    if (rerun > 0) metrics.reruns.inc(labels);
    if (waitSeconds !== undefined) metrics.waitTime.observe(labels, waitSeconds);
    if (claimSeconds !== undefined) metrics.claimTime.observe(labels, claimSeconds);
  });
  signals.on('task:succeeded', (event) => {
    if (!event.recovered) ended(event, 'succeeded');
  });
  signals.on('task:failed', (event) => ended(event, outcomeOf(event.error)));
}

function countEnds(signals: Signals, metrics: Declared, names: Names): void {
  signals.on('task:retried', (event) => metrics.retries.inc(names.of(event)));
  signals.on('task:dead', (event) => {
    // Counted by the delivery that buried it.
    if (event.code !== 'RECOVERED') metrics.dead.inc({ ...names.of(event), reason: event.code });
  });
  signals.on('task:expired', (event) => metrics.expired.inc(names.of(event)));
  signals.on('task:overdue', (event) => metrics.overdue.inc(names.of(event)));
  signals.on('lock:lost', (event) => metrics.locksLost.inc(names.of(event)));
  signals.on('result:lost', (event) => metrics.resultsLost.inc(names.of(event)));
  signals.on('publish:failed', (event) => metrics.publishFailures.inc(names.of(event)));
  signals.on('loop:blocked', () => metrics.loopBlocked.inc());
}

function countReconnects(signals: Signals, { reconnects }: Declared): void {
  const lost = new Set<string>();
  signals.on('broker:disconnected', ({ link }) => void lost.add(link));
  signals.on('broker:connected', ({ link }) => {
    if (lost.delete(link)) reconnects.inc();
  });
}
