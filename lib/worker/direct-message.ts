import { hostname } from 'node:os';
import { encode, readArguments } from '../celery-protocol.js';
import type { KeptArguments } from '../guard.js';
import type { Frame } from '../message.js';
import type { TaskDefinition } from '../task-definition.js';

/** What a plain call leaves to a worker. */
export interface Leftover {
  /** Of the call, which has the key. */
  readonly id: string;
  readonly key: string;
  readonly kept: KeptArguments;
  /** Epoch ms. */
  readonly now: number;
}

/** The message that goes on where a plain call ends: under the call's id, so that its key is the message's. */
export function takeOver({ name, priority }: TaskDefinition, { id, key, kept, now }: Leftover): Frame {
  const message = {
    ...readArguments(kept.args),
    id,
    task: name,
    attempt: 1,
    // Their sequence was the key's during the call: whose run has newer ones began after it.
    lock: { key, mode: 'enqueue', fence: kept.seq } as const,
    enqueuedAt: now,
    priority,
    rootId: undefined,
    parentId: undefined,
    headers: {},
  };
  return encode(message, `${process.pid}@${hostname()}`);
}
