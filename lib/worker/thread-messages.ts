import { inspect } from 'node:util';
import type { MessagePort } from 'node:worker_threads';
import { PayloadError, RejectTask, RetryTask, TaskError, toError, type ErrorData, type Violation } from '../errors.js';
import type { Headers, MessageBody, MessageHead } from '../message.js';
import type { EventName, RunEvent, TaskEvents } from '../signals.js';
import type { Ending } from './run.js';

/** What every thread of a worker is made with. */
export interface ThreadData {
  /** Says whose thread it is. */
  readonly solotask: true;
  /** URL of the module that exports the app. */
  readonly module: string;
  /** Where the app's code leaves them open. */
  readonly broker: string | undefined;
  readonly locks: string | readonly string[] | undefined;
}

/** One run, as a thread gets it. The arguments are those of its message. */
export interface Job extends MessageBody {
  readonly head: Pick<MessageHead, 'id' | 'task' | 'attempt' | 'enqueuedAt' | 'rootId'>;
  readonly event: RunEvent;
  readonly fence: number | undefined;
  readonly redelivered: boolean;
  readonly rerun: number;
  /** Somebody keeps what the body returns. */
  readonly keeps: boolean;
  /** The run's span, as the headers of a message carry it. */
  readonly trace: Headers | undefined;
  /** Carries everything about this run, both ways. */
  readonly port: MessagePort;
}

/** To a thread: the run's signal fires. */
export interface Abort {
  readonly reason: PackedError;
}

/** From a thread, in this order. */
export type ThreadMessage =
  | { readonly kind: 'hello'; readonly thread: number }
  /** The app is loaded, the body comes next. */
  | { readonly kind: 'began' }
  | { readonly kind: 'event'; readonly event: EventName; readonly payload: object }
  | {
      readonly kind: 'ended';
      readonly error: PackedError | undefined;
      readonly value: unknown;
      readonly final: boolean;
    };

/** An error on its way between threads, which would leave its class and most of its fields behind. */
export interface PackedError {
  readonly kind: 'retry' | 'reject' | 'payload' | 'task' | 'error';
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | number | undefined;
  readonly data: ErrorData;
  readonly delay: number | string | undefined;
  readonly violations: readonly Violation[];
  readonly cause: PackedError | undefined;
}

/** Causes that come along; one that is its own cause would have no end. */
const DEPTH = 5;

function kindOf(error: Error): PackedError['kind'] {
  if (error instanceof RetryTask) return 'retry';
  if (error instanceof RejectTask) return 'reject';
  if (error instanceof PayloadError) return 'payload';
  return error instanceof TaskError ? 'task' : 'error';
}

/** A value as another thread can have it: what cannot be copied becomes its text. */
export function portable(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    return inspect(value);
  }
}

/** An error as a plain value. */
export function packError(error: Error, depth = DEPTH): PackedError {
  const { code } = error as { code?: unknown };
  const own = error.name === 'Error' ? (error.constructor as { name?: unknown } | undefined)?.name : error.name;
  const data = error instanceof TaskError ? portable(error.data) : {};
  const { cause } = error;
  return {
    kind: kindOf(error),
    name: typeof own === 'string' && own !== '' ? own : 'Error',
    message: error.message,
    stack: error.stack,
    code: typeof code === 'string' || typeof code === 'number' ? code : undefined,
    data: typeof data === 'object' && data !== null ? (data as ErrorData) : {},
    delay: error instanceof RetryTask ? error.delay : undefined,
    violations: error instanceof PayloadError ? error.violations : [],
    cause: cause === undefined || depth === 0 ? undefined : packError(toError(cause), depth - 1),
  };
}

/** What was packed, with its own stack. A class of the task's own is known by its name alone. */
export function unpackError(packed: PackedError): Error {
  const { name, stack } = packed;
  const error = revived(packed, packed.cause && unpackError(packed.cause));
  return Object.defineProperties(error, {
    name: { value: name, configurable: true, writable: true },
    stack: { value: stack, configurable: true, writable: true },
  });
}

function revived({ kind, message, code, data, delay, violations }: PackedError, cause: Error | undefined): Error {
  switch (kind) {
    case 'retry':
      return new RetryTask({ ...(delay !== undefined && { delay }), cause });
    case 'reject':
      return new RejectTask(message, cause);
    case 'payload':
      return new PayloadError(message, violations, data);
    case 'task':
      return new TaskError(String(code), message, data, cause);
    case 'error':
      return Object.assign(new Error(message, cause && { cause }), code !== undefined && { code });
  }
}

/** An event of a run, for another thread's listeners. */
export function packEvent(event: EventName, payload: object): ThreadMessage {
  const { error, data } = payload as { error?: unknown; data?: unknown };
  const changed = {
    ...(error instanceof Error && { error: packError(error) }),
    ...(data !== undefined && { data: portable(data) }),
  };
  return { kind: 'event', event, payload: { ...payload, ...changed } };
}

/** Of what a thread's app does, the rest is about links of its own. */
export const isTaskEvent = (event: EventName): boolean => /^(task|enqueue|lock):/.test(event);

/** The payload of `packEvent` as listeners get it. */
export function unpackEvent(payload: object): TaskEvents[EventName] {
  const { error } = payload as { error?: PackedError };
  return { ...payload, ...(error !== undefined && { error: unpackError(error) }) } as TaskEvents[EventName];
}

/** How a body ended, as its thread says it. */
export function unpackEnding({ error, value, final }: Extract<ThreadMessage, { kind: 'ended' }>): Ending {
  return { error: error && unpackError(error), value, final };
}
