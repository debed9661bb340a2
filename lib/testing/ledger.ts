import type { App } from '../app/app.js';
import { decodeBody, decodeHead } from '../celery-protocol.js';
import { RESERVED_HEADERS } from '../celery-protocol/names.js';
import { unpack } from '../declarations/payload.js';
import type { Frame, Headers, MessageHead } from '../message.js';
import type { RunEvent, TaskEvents } from '../signals.js';
import type { TaskDefinition } from '../task-definition.js';

/** One call that was enqueued, read back from the bytes of its message. `A`: the method's parameters. */
export interface EnqueuedCall<A extends readonly unknown[] = readonly unknown[]> {
  readonly id: string;
  /** The task's name. */
  readonly task: string;
  /** The unique key; undefined for a plain task. */
  readonly key: string | undefined;
  /** What the body is given: dates revived, payload classes as instances. */
  readonly args: A;
  /** Before it may run, ms from its enqueue. */
  readonly delay: number;
  readonly queue: string;
  readonly priority: number | undefined;
  /** The caller's own. */
  readonly headers: Headers;
}

/** A call that ended in the dead letters. */
export interface DeadCall<A extends readonly unknown[] = readonly unknown[]> extends EnqueuedCall<A> {
  /** The run that was the last, from 1. */
  readonly attempt: number;
  /** `FAILED`, or that of the error. */
  readonly code: string;
  /** What the body threw, the very object. */
  readonly error: Error;
}

/** A duplicate that was dropped: `id` was, `holder.id` has the key. */
export type DiscardedCall = TaskEvents['task:discarded'];

/** How often something happened. */
export interface Tally {
  readonly runs: number;
  readonly succeeded: number;
  readonly retried: number;
}

/** A message at its first publish. */
interface Entry {
  readonly head: MessageHead;
  readonly frame: Frame;
  readonly queue: string;
}

/** What happened to an app since its last reset: messages by their bytes, the rest by the app's events. */
export class Ledger {
  readonly #app: App;
  readonly #entries = new Map<string, Entry>();
  readonly #running = new Set<string>();
  /** Ended for good; with the error of a dead letter. */
  readonly #ended = new Map<string, Error | undefined>();
  readonly #deaths: TaskEvents['task:dead'][] = [];
  readonly #discarded: DiscardedCall[] = [];
  #tally: Tally = { runs: 0, succeeded: 0, retried: 0 };

  constructor(app: App) {
    this.#app = app;
    app.on('task:started', ({ id }) => {
      this.#running.add(id);
      this.#count('runs');
    });
    app.on('task:failed', ({ id }) => this.#running.delete(id));
    app.on('task:retried', () => this.#count('retried'));
    app.on('task:succeeded', (event) => {
      this.#count('succeeded');
      this.#end(event, undefined);
    });
    app.on('task:dead', (event) => {
      this.#deaths.push(event);
      this.#end(event, event.error);
    });
    app.on('task:expired', (event) => this.#end(event, undefined));
    app.on('task:coalesced', (event) => {
      if (event.side === 'worker') this.#end(event, undefined);
    });
    app.on('task:discarded', (event) => {
      this.#discarded.push(event);
      if (event.side === 'worker') this.#end(event, undefined);
    });
  }

  get tally(): Tally {
    return this.#tally;
  }

  /** Ids of the tasks whose bodies are under way. */
  get running(): ReadonlySet<string> {
    return this.#running;
  }

  get discarded(): readonly DiscardedCall[] {
    return this.#discarded;
  }

  get enqueued(): readonly EnqueuedCall[] {
    return [...this.#entries.values()].map((entry) => this.#call(entry));
  }

  get dead(): readonly DeadCall[] {
    return this.#deaths.flatMap(({ id, attempt, code, error }) => {
      const entry = this.#entries.get(id);
      return entry === undefined ? [] : [{ ...this.#call(entry), attempt, code, error }];
    });
  }

  /** Takes down a message; one that was seen before goes on, or goes to the dead letters. */
  record(queue: string, frame: Frame): void {
    const head = decodeHead(frame);
    if (!this.#entries.has(head.id)) this.#entries.set(head.id, { head, frame, queue });
  }

  /** Whether the message is one that a worker of the app takes as soon as it is there. */
  dueAtOnce(id: string): boolean {
    const entry = this.#entries.get(id);
    return entry !== undefined && delayOf(entry) === 0 && this.#definition(entry) !== undefined;
  }

  /** Undefined while the task has not ended. */
  ending(id: string): { readonly error: Error | undefined } | undefined {
    return this.#ended.has(id) ? { error: this.#ended.get(id) } : undefined;
  }

  reset(): void {
    for (const each of [this.#entries, this.#ended, this.#running]) each.clear();
    this.#deaths.length = 0;
    this.#discarded.length = 0;
  }

  #end({ id }: Pick<RunEvent, 'id'>, error: Error | undefined): void {
    this.#running.delete(id);
    this.#ended.set(id, error);
  }

  #count(what: keyof Tally): void {
    this.#tally = { ...this.#tally, [what]: this.#tally[what] + 1 };
  }

  #definition({ head }: Entry): TaskDefinition | undefined {
    return this.#app.definitions.find(({ name }) => name === head.task);
  }

  #call(entry: Entry): EnqueuedCall {
    const { head, frame, queue } = entry;
    const own = Object.entries(frame.headers).filter(([name]) => !RESERVED_HEADERS.has(name));
    return {
      id: head.id,
      task: head.task,
      key: head.lock?.key,
      args: this.#args(entry),
      delay: delayOf(entry),
      queue,
      priority: frame.properties.priority,
      headers: Object.fromEntries(own),
    };
  }

  /** What was sent by name may be no valid call of the task: then the JSON says more than an error here would. */
  #args(entry: Entry): readonly unknown[] {
    const definition = this.#definition(entry);
    const { args, kwargs } = decodeBody(entry.frame);
    try {
      return definition === undefined ? args : unpack(definition, args, kwargs);
    } catch {
      return args;
    }
  }
}

const delayOf = ({ head }: Entry): number => Math.max(0, (head.due ?? 0) - (head.enqueuedAt ?? 0));
