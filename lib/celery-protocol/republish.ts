import type { Frame, FrameProperties, Headers, MessageLock } from '../message.js';
import { lockHeaders } from './encode.js';
import { BROKER_HEADERS, CELERY_HEADERS, OWN_HEADERS, PUBLISH_HEADERS } from './names.js';

/** What differs in a further copy of a message. */
export interface RepublishChanges {
  /** The run that the copy asks for, from 1. @default as before */
  readonly attempt?: number;
  /** A lock that was computed on the worker travels from then on. @default as before */
  readonly lock?: MessageLock | undefined;
  /** Its run began: it does not expire any more. @default as before */
  readonly began?: boolean;
  /** What the copy stands in for. @default nothing */
  readonly standIn?: string | undefined;
  /** Its body may have begun before. @default false */
  readonly suspect?: boolean;
}

/** Why a message goes to the dead letters. */
export interface DeadLetter {
  /** A stable code, as those of errors.ts. */
  readonly code: string;
  readonly reason: string;
  readonly stack?: string | undefined;
  /** Epoch ms. */
  readonly at: number;
  /** The queue that it came from. */
  readonly queue: string;
  /** The run that failed, from 1. @default as before */
  readonly attempt?: number;
}

/** Bytes of headers, as JSON, that a copy may have: amqplib refuses a table over 64 KiB. */
const HEADER_BUDGET = 32 * 1024;
const REASON_LENGTH = 1000;
const STACK_LENGTH = 8000;

/** What a run needs comes first, so that it is not what falls off the end of a table that is too large. */
const ORDER: ReadonlySet<string> = new Set(['id', 'task', ...OWN_HEADERS, ...CELERY_HEADERS]);
const DROPPED: ReadonlySet<string> = new Set([...PUBLISH_HEADERS, ...BROKER_HEADERS]);

/**
 * A further copy of a message, for a retry or a wait: the same bytes, headers built afresh. Neither the broker's `x-`
 * headers come along (with a copied `x-death` it takes the copy for a cycle and drops it silently) nor what belonged
 * to one publish (`copy`, `due`), nor an `expiration`, which would take effect in the delay queues.
 */
export function republish(frame: Frame, changes: RepublishChanges = {}): Frame {
  return {
    properties: lasting(frame.properties),
    headers: { ...kept(frame.headers), ...changed(changes) },
    body: frame.body,
  };
}

/** The copy that goes to the dead letters: as `republish`, and the reason in flat headers. */
export function deadLetter(frame: Frame, letter: DeadLetter): Frame {
  const { properties, headers, body } = republish(
    frame,
    letter.attempt === undefined ? {} : { attempt: letter.attempt },
  );
  return {
    properties,
    headers: {
      ...headers,
      dead_code: letter.code,
      dead_reason: letter.reason.slice(0, REASON_LENGTH),
      ...(letter.stack === undefined ? undefined : { dead_stack: letter.stack.slice(0, STACK_LENGTH) }),
      dead_at: letter.at,
      dead_queue: letter.queue,
    },
    body,
  };
}

/** What a dead letter lives again with. */
export interface Revival {
  readonly id: string;
  /** That of the dead letter. */
  readonly parentId: string;
  /** Epoch ms. */
  readonly at: number;
  /** With the fence of its new claim. @default as before */
  readonly lock?: MessageLock | undefined;
}

/**
 * A dead letter as a task of its own: the same bytes under a new id, from the first attempt on. When it was due and when
 * it expired counts no more: somebody wants it now.
 */
export function revive(frame: Frame, { id, parentId, at, lock }: Revival): Frame {
  const { properties, headers, body } = republish(frame, { attempt: 1, ...(lock && { lock }) });
  return {
    properties: { ...properties, messageId: id, correlationId: id, timestamp: Math.floor(at / 1000) },
    headers: { ...headers, id, parent_id: parentId, eta: null, expires: null, enqueued_at: at },
    body,
  };
}

function lasting(properties: FrameProperties): FrameProperties {
  const { expiration, ...others } = properties;
  return expiration === undefined ? properties : others;
}

const changed = ({ attempt, lock, began = false, standIn, suspect = false }: RepublishChanges): Headers => ({
  ...(attempt === undefined ? undefined : { attempt, retries: attempt - 1 }),
  ...(lock === undefined ? undefined : lockHeaders(lock)),
  ...(began ? { expires: null } : undefined),
  ...(standIn === undefined ? undefined : { stand_in: standIn }),
  ...(suspect ? { suspect } : undefined),
});

function kept(headers: Headers): Headers {
  const others = Object.keys(headers).filter(
    (name) => !ORDER.has(name) && !DROPPED.has(name) && !name.startsWith('x-'),
  );
  const result: Record<string, unknown> = {};
  let left = HEADER_BUDGET;
  for (const name of [...ORDER, ...others]) {
    const value = headers[name];
    const cost = value === undefined ? Infinity : name.length + size(value);
    if (cost > left) continue;
    left -= cost;
    result[name] = value;
  }
  return result;
}

/** An estimate of the bytes on the wire. */
const size = (value: unknown): number =>
  Buffer.byteLength(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
