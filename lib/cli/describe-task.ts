import ms from 'ms';
import type { OnDuplicate, RetryPolicy, TaskDefinition } from '../task-definition.js';

/** A task for people and scripts: what `list --json` prints. */
export interface TaskDescription {
  readonly task: string;
  readonly queue: string;
  /** The key template as written; null for a plain task. */
  readonly key: string | null;
  /** Which side drops duplicates. */
  readonly strategy: 'enqueue' | 'worker' | 'both' | null;
  readonly onDuplicate: { readonly enqueue: OnDuplicate | null; readonly worker: OnDuplicate | null };
  readonly acksLate: boolean;
  /** Durations in ms. */
  readonly retry: RetryPolicy;
  /** ms */
  readonly timeLimit: number | null;
  readonly thread: boolean;
  /** How late a long task runs again when its worker has died, ms; null for others. */
  readonly long: number | null;
}

export function describeTask(definition: TaskDefinition): TaskDescription {
  const { name, queue, keyText, unique, shouldCompute, acksLate, retry, timeLimit, thread, long } = definition;
  const enqueue = unique?.onDuplicate ?? null;
  const worker = shouldCompute?.onDuplicate ?? null;
  const strategy = enqueue === null ? worker && 'worker' : worker === null ? 'enqueue' : 'both';
  const run = { acksLate, retry, timeLimit: timeLimit ?? null, thread, long: long ?? null };
  return { task: name, queue, key: keyText ?? null, strategy, onDuplicate: { enqueue, worker }, ...run };
}

/** Where duplicates end and how: `enqueue: discard`; `-` for a plain task. */
export function strategyText({ strategy, onDuplicate: { enqueue, worker } }: TaskDescription): string {
  if (strategy === null) return '-';
  if (strategy !== 'both' || enqueue === worker) return `${strategy}: ${enqueue ?? worker}`;
  return `enqueue: ${enqueue}, worker: ${worker}`;
}

/** `3 runs, 1s x2`: runs in all, the first pause and its growth. */
export function retryText({ attempts, delay, factor }: RetryPolicy): string {
  if (attempts === 1) return 'none';
  return `${attempts} runs, ${ms(delay)}${factor === 1 ? '' : ` x${factor}`}`;
}
