import { argumentsText, decodeBody, decodeHead, readArguments, withArguments } from '../celery-protocol.js';
import type { Clock } from '../clock.js';
import { toError, UnknownTaskError } from '../errors.js';
import { LARGEST_OFFER, type KeptArguments } from '../guard.js';
import type { Frame, MessageBody, MessageHead, MessageLock } from '../message.js';
import { unpack } from '../declarations/payload.js';
import type { Registry } from '../declarations/registry.js';
import type { RunEvent } from '../signals.js';
import type { TaskDefinition } from '../task-definition.js';
import type { Delivery } from '../transport.js';
import { lockOf, ownRecordName, recordName, survives } from '../declarations/uniqueness.js';
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
  /** To run again would not help. */
  readonly final?: boolean | undefined;
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

/** One delivery on its way through the worker: a run, or several when newer arguments arrive meanwhile. */
export class Run {
  readonly delivery: Delivery;
  readonly definition: TaskDefinition | undefined;
  /** Name of the key's record, or of its own; undefined for a plain task whose delivery lasts as long as its run. */
  record: string | undefined;
  stage: Stage = 'waiting';
  /** Names this delivery in the key's record. */
  nonce: string | undefined;
  /** How often it was begun again, for newer arguments. */
  rerun = 0;
  /** Set while the key is held. */
  lease: Lease | undefined;
  /** How long the claim took that got the key. */
  claimSeconds: number | undefined;
  /** Names the stand-in that was posted for this run; its delivery is acknowledged then. */
  standIn: string | undefined;
  /** Settles when a hand-over during the run has come to its end. */
  handingOver: Promise<void> | undefined;
  /** Its body's begin is counted, for it may be a repeated one. */
  counted = false;
  /** When the body began, by `clock.monotonic()`. */
  began = 0;
  /** Settles when the body has ended; set while `running`. */
  body: Promise<Ending> | undefined;
  /** Called once, when the run is aborted. */
  onAbort: (() => void) | undefined;
  #head: MessageHead;
  #args: readonly unknown[];
  #lock: MessageLock | undefined;
  #problem: Error | undefined;
  #frame: Frame;
  #first = 0;
  #aborted: Error | undefined;
  #timedOut: Error | undefined;
  #controller: AbortController | undefined;

  constructor(delivery: Delivery, reading: Reading, namespace: string) {
    this.delivery = delivery;
    this.definition = reading.definition;
    this.#head = reading.head;
    this.#args = reading.args;
    this.#lock = reading.lock;
    this.#problem = reading.problem;
    this.#frame = delivery.frame;
    this.record = recordOf(reading, namespace);
  }

  get head(): MessageHead {
    return this.#head;
  }

  get args(): readonly unknown[] {
    return this.#args;
  }

  /** Its fence is the sequence of `args`. */
  get lock(): MessageLock | undefined {
    return this.#lock;
  }

  get problem(): Error | undefined {
    return this.#problem;
  }

  /** The message, with the arguments that it runs with. */
  get frame(): Frame {
    return this.#frame;
  }

  /** Sequence of the arguments, 0 without one. It is below the fence of every run that comes after it; others are made up. */
  get sequence(): number {
    const seq = this.#lock?.fence ?? 0;
    return seq < (this.lease?.identity.fence ?? Infinity) ? seq : 0;
  }

  /** Its body may have begun before, and have ended with its process. */
  get suspect(): boolean {
    return this.delivery.redelivered || this.#head.suspect || this.#head.standIn !== undefined;
  }

  /** Its body does not need its delivery any more. */
  get goesOn(): boolean {
    return this.standIn !== undefined || (this.body !== undefined && this.definition?.onConnectionLoss === 'finish');
  }

  /** The arguments for a holder of the key, as JSON text; undefined when they cannot be read or are too large. */
  offer(): string | undefined {
    if (this.#problem !== undefined) return undefined;
    const text = argumentsText(decodeBody(this.#frame));
    return Buffer.byteLength(text) <= LARGEST_OFFER ? text : undefined;
  }

  /** From now on it runs with these arguments, and so do its copies. */
  take({ seq, args }: KeptArguments): void {
    if (this.definition === undefined || this.#lock === undefined) return;
    // Of a message without a sequence these arguments say nothing about the run before it: only its own covers it.
    const mode = this.#lock.fence === undefined ? 'worker' : this.#lock.mode;
    this.#lock = { ...this.#lock, mode, fence: seq };
    this.#frame = withArguments(this.#frame, args);
    const { values, problem } = valuesOf(this.definition, () => readArguments(args));
    this.#args = values;
    this.#problem = problem;
  }

  /** The body begins now, by `clock.monotonic()`. */
  begin(now: number): void {
    this.stage = 'running';
    this.began = now;
    if (this.rerun === 0) this.#first = now;
  }

  /** One more run on this delivery, with attempts and a signal of its own: who listened to the last one's is gone. */
  again(): void {
    this.rerun++;
    this.#timedOut = undefined;
    this.#controller = undefined;
    this.#head = { ...this.#head, attempt: 1 };
  }

  /** How long this delivery has been running, ms. */
  age(clock: Clock): number {
    return clock.monotonic() - this.#first;
  }

  /** How long it has waited beyond its time, at `now` by the wall clock; undefined when nobody can say. */
  waitSeconds(now: number): number | undefined {
    const since = this.rerun > 0 ? undefined : (this.#head.due ?? this.#head.enqueuedAt);
    return since === undefined ? undefined : Math.max(0, now - since) / 1000;
  }

  /** Made when it is asked for: few bodies ask, and it would cost more than all the rest of their run. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      const reason = this.#aborted ?? this.#timedOut;
      if (reason !== undefined) this.#controller.abort(reason);
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

  /** Why the run has failed, whatever its body still does; undefined while its time is not over. */
  get timedOut(): Error | undefined {
    return this.#timedOut;
  }

  /** Its time is over: the signal fires, and unlike an abort it keeps its lease and its delivery until the body has ended. */
  timeOut(reason: Error): void {
    if (this.#timedOut !== undefined) return;
    this.#timedOut = reason;
    this.#controller?.abort(reason);
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

function recordOf({ head, lock, definition }: Reading, namespace: string): string | undefined {
  if (lock !== undefined) return recordName(namespace, head.task, lock.key);
  const own = survives(definition) || head.standIn !== undefined;
  return own ? ownRecordName(namespace, head.task, head.id) : undefined;
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
    const { values, problem } = valuesOf(definition, () => decodeBody(delivery.frame));
    if (problem !== undefined) throw problem;
    return { head, definition, args: values, lock: head.lock ?? lockOf(definition, values), problem: undefined };
  } catch (error) {
    return { head, definition, args: [], lock: head.lock, problem: toError(error) };
  }
}

/** The arguments as the body takes them; never throws. */
function valuesOf(
  definition: TaskDefinition,
  body: () => MessageBody,
): { values: readonly unknown[]; problem: Error | undefined } {
  try {
    const { args, kwargs } = body();
    return { values: unpack(definition, args, kwargs), problem: undefined };
  } catch (error) {
    return { values: [], problem: toError(error) };
  }
}

/** The delivery was acknowledged as the body began (`acksLate: false`): nothing of it can go back. */
export const ackedEarly = ({ definition, began }: Run): boolean => definition?.acksLate === false && began > 0;

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
  standIn: undefined,
  suspect: false,
  rootId: undefined,
  parentId: undefined,
  timeLimit: undefined,
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
