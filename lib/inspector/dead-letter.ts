import { decodeBody, decodeHead } from '../celery-protocol.js';
import { toError } from '../errors.js';
import type { Frame, MessageHead } from '../message.js';

/** A dead letter, as an operator sees it. */
export interface DeadLetterView {
  /** Undefined: it is no task message, and can only be dropped. */
  readonly id: string | undefined;
  readonly task: string | undefined;
  /** The unique key, when the message carries one. */
  readonly key: string | undefined;
  /** Where it came from, and goes back to. */
  readonly queue: string;
  /** The run that failed, from 1. */
  readonly attempt: number;
  /** Undefined: the broker itself dropped it. */
  readonly code: string | undefined;
  readonly reason: string | undefined;
  readonly stack: string | undefined;
  /** Epoch ms. */
  readonly at: number | undefined;
  /** Epoch ms. */
  readonly enqueuedAt: number | undefined;
  readonly parentId: string | undefined;
  /** Undefined when the body cannot be read: `body` has the beginning of its text then. */
  readonly args: readonly unknown[] | undefined;
  readonly kwargs: Readonly<Record<string, unknown>> | undefined;
  readonly body: string | undefined;
}

/** Of an unreadable body so many characters are shown. */
const EXCERPT = 500;

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const number = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);

/** The head of a message; undefined when it is no task message. */
export function headOf(frame: Frame): MessageHead | undefined {
  try {
    return decodeHead(frame);
  } catch {
    return undefined;
  }
}

/** Reads a dead letter of `queue`. Never throws. */
export function viewOf(frame: Frame, queue: string): DeadLetterView {
  const { headers } = frame;
  const head = headOf(frame);
  return {
    id: head?.id ?? text(headers['id']) ?? text(frame.properties.messageId),
    task: head?.task ?? text(headers['task']),
    key: head?.lock?.key,
    queue: text(headers['dead_queue']) ?? queue,
    attempt: head?.attempt ?? 1,
    code: text(headers['dead_code']),
    reason: text(headers['dead_reason']),
    stack: text(headers['dead_stack']),
    at: number(headers['dead_at']),
    enqueuedAt: head?.enqueuedAt,
    parentId: head?.parentId,
    ...contentOf(frame),
  };
}

function contentOf(frame: Frame): Pick<DeadLetterView, 'args' | 'kwargs' | 'body'> {
  try {
    const { args, kwargs } = decodeBody(frame);
    return { args, kwargs, body: undefined };
  } catch (thrown) {
    const body = `${toError(thrown).message}: ${frame.body.subarray(0, EXCERPT).toString()}`;
    return { args: undefined, kwargs: undefined, body };
  }
}
