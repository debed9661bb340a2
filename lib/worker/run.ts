import { decodeBody, decodeHead } from '../celery-protocol.js';
import type { Clock } from '../clock.js';
import { toError, UnknownTaskError } from '../errors.js';
import type { MessageHead, MessageLock } from '../message.js';
import { unpack } from '../declarations/payload.js';
import type { Registry } from '../declarations/registry.js';
import type { RunEvent } from '../signals.js';
import type { TaskDefinition } from '../task-definition.js';
import type { Delivery } from '../transport.js';
import { lockOf, recordName } from '../declarations/uniqueness.js';
import type { Lease } from './lease.js';

/**
 * `waiting`: nothing was begun, it can be given back. `claiming`: an answer is under way. `running`: the body began.
 * `settling`: it has ended, or is not waited for any longer.
 */
export type Stage = 'waiting' | 'claiming' | 'running' | 'settling';

/** How a body ended. */
export interface Ending {
  /** What it threw. */
  readonly error: Error | undefined;
  /** What it returned. */
  readonly value: unknown;
}

/** What was read of a delivery: everything that could be, and why not the rest. */
interface Reading {
  readonly head: MessageHead;
  readonly definition: TaskDefinition | undefined;
  readonly args: readonly unknown[];
  readonly lock: MessageLock | undefined;
  /** Why it cannot run: an unknown task, an unreadable body, invalid arguments. */
  readonly problem: Error | undefined;
}

/** One delivery on its way through the worker. */
export class Run {
  readonly delivery: Delivery;
  readonly head: MessageHead;
  readonly definition: TaskDefinition | undefined;
  readonly args: readonly unknown[];
  readonly lock: MessageLock | undefined;
  /** Name of the key's record; undefined for a plain task. */
  readonly record: string | undefined;
  readonly problem: Error | undefined;
  stage: Stage = 'waiting';
  /** Set while the key is held. */
  lease: Lease | undefined;
  /** When the body began, by `clock.monotonic()`. */
  began = 0;
  /** Settles when the body has ended; set while `running`. */
  body: Promise<Ending> | undefined;
  /** Called once, when the run is aborted. */
  onAbort: (() => void) | undefined;
  #aborted: Error | undefined;
  #controller: AbortController | undefined;

  constructor(delivery: Delivery, reading: Reading, namespace: string) {
    this.delivery = delivery;
    this.head = reading.head;
    this.definition = reading.definition;
    this.args = reading.args;
    this.lock = reading.lock;
    this.problem = reading.problem;
    this.record = reading.lock && recordName(namespace, reading.head.task, reading.lock.key);
  }

  /** Made when it is asked for: few bodies ask, and it would cost more than all the rest of their run. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted !== undefined) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  /** Why the run was aborted; undefined while it was not. */
  get aborted(): Error | undefined {
    return this.#aborted;
  }

  /** The first reason stays. */
  abort(reason: Error): void {
    if (this.#aborted !== undefined) return;
    this.#aborted = reason;
    this.#controller?.abort(reason);
    this.onAbort?.();
  }

  /**
   * What every event of this run has. Spread it last where many messages pass: a literal that begins with a spread takes
   * several times as long.
   */
  event(): RunEvent {
    const { id, task, attempt } = this.head;
    return { task, id, key: this.lock?.key, queue: this.delivery.queue, attempt };
  }

  seconds(clock: Clock): number {
    return (clock.monotonic() - this.began) / 1000;
  }
}

/** Reads a delivery. Never throws: what is wrong with it becomes its `problem`, and its lock can still be freed. */
export function readDelivery(delivery: Delivery, registry: Registry, namespace: string): Run {
  return new Run(delivery, read(delivery, registry), namespace);
}

function read(delivery: Delivery, registry: Registry): Reading {
  let head: MessageHead;
  try {
    head = decodeHead(delivery.frame);
  } catch (error) {
    return { head: NO_HEAD, definition: undefined, args: [], lock: undefined, problem: toError(error) };
  }
  const definition = registry.find(head.task);
  try {
    if (definition === undefined) throw unknownTask(head, registry);
    const { args, kwargs } = decodeBody(delivery.frame);
    const values = unpack(definition, args, kwargs);
    return { head, definition, args: values, lock: head.lock ?? lockOf(definition, values), problem: undefined };
  } catch (error) {
    return { head, definition, args: [], lock: head.lock, problem: toError(error) };
  }
}

/** Of a message without id or task name nothing can be said, and it holds no lock that could be found. */
const NO_HEAD: MessageHead = {
  id: '',
  task: '',
  attempt: 1,
  lock: undefined,
  copy: '',
  enqueuedAt: undefined,
  due: undefined,
  expires: undefined,
  rootId: undefined,
  parentId: undefined,
  ignoreResult: false,
};

function unknownTask(head: MessageHead, registry: Registry): UnknownTaskError {
  const known = registry.definitions.map(({ name }) => name);
  return new UnknownTaskError(
    `no service of this app declares the task ${head.task}; declared are ${known.join(', ')}`,
    {
      task: head.task,
      known,
    },
  );
}
