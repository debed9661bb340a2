import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import { decodeBody } from '../celery-protocol.js';
import type { Clock, Timer } from '../clock.js';
import { ThreadCrashedError, toError } from '../errors.js';
import type { Headers } from '../message.js';
import type { EventName, Signals, TaskEvents } from '../signals.js';
import { ABORT_GRACE } from '../task-definition.js';
import type { Ending, Run } from './run.js';
import { packError, unpackEnding, unpackEvent, type Abort, type Job, type ThreadMessage } from './thread-messages.js';

/** What a call into a thread works with. */
export interface ThreadCallParts {
  readonly clock: Clock;
  readonly signals: Signals;
  /** Resolves when the job has ended, rejects when its thread has, or `signal` aborts: no thread takes it any more. */
  readonly post: (job: Job, signal: AbortSignal) => Promise<unknown>;
  /** The thread of that id. */
  readonly find: (id: number) => Worker | undefined;
}

/** How long a thread may take to load the app, ms. */
const LOAD_TIME = 60_000;
/** After a loop that stood still, timers come before messages: a thread may have said hello meanwhile, ms. */
const MOMENT = 50;

/** One run in a thread, as the main thread sees it: it has the run's lease and delivery, and can end the thread. */
export class ThreadCall {
  readonly #run: Run;
  readonly #parts: ThreadCallParts;
  readonly #began: () => void;
  readonly #port: MessagePort;
  readonly #far: MessagePort;
  readonly #timers: Timer[] = [];
  #thread: Worker | undefined;
  #exit: Promise<unknown> | undefined;
  /** To be ended as soon as it is known. */
  #doomed = false;
  /** Takes the job back from the pool. */
  readonly #withdrawal = new AbortController();
  #loaded = false;
  #ended: (ending: Ending) => void = () => {};

  constructor(run: Run, parts: ThreadCallParts, began: () => void) {
    this.#run = run;
    this.#parts = parts;
    this.#began = began;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#far = port2;
  }

  /** Never rejects, and resolves when the body has ended for certain. */
  async ending(keeps: boolean, trace: Headers | undefined): Promise<Ending> {
    const { signal } = this.#run;
    const abort = (): void => this.#abort(toError(signal.reason));
    const ended = new Promise<Ending>((resolve) => (this.#ended = resolve));
    this.#port.on('message', (message: ThreadMessage) => this.#hear(message));
    this.#later(LOAD_TIME, () => this.#loaded || this.#end());
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    try {
      await this.#parts.post(this.#job(keeps, trace), this.#withdrawal.signal);
      const ending = await ended;
      // A thread that is being ended must not be given the next run.
      if (this.#doomed) await this.#exit;
      return ending;
    } catch (error) {
      await this.#exit;
      return { error: this.#why(toError(error)), value: undefined };
    } finally {
      signal.removeEventListener('abort', abort);
      for (const timer of this.#timers) timer.cancel();
      this.#port.close();
    }
  }

  #job(keeps: boolean, trace: Headers | undefined): Job {
    const { head, delivery, lease, rerun, frame } = this.#run;
    const { id, task, attempt, enqueuedAt, rootId } = head;
    const { args, kwargs } = decodeBody(frame);
    return {
      args,
      kwargs,
      head: { id, task, attempt, enqueuedAt, rootId },
      event: this.#run.event(),
      fence: lease?.identity.fence,
      redelivered: delivery.redelivered,
      rerun,
      keeps,
      trace,
      port: this.#far,
    };
  }

  #hear(message: ThreadMessage): void {
    switch (message.kind) {
      case 'hello':
        this.#thread = this.#parts.find(message.thread);
        this.#exit = this.#thread && exitOf(this.#thread);
        if (this.#doomed) this.#end();
        return;
      case 'began':
        this.#loaded = true;
        return this.#began();
      case 'event':
        return this.#parts.signals.emit(
          message.event,
          unpackEvent(message.payload) as TaskEvents[EventName & 'task:log'],
        );
      case 'ended':
        return this.#ended(unpackEnding(message));
    }
  }

  /** A body that does not end by itself ends with its thread. */
  #abort(reason: Error): void {
    this.#port.postMessage({ reason: packError(reason) } satisfies Abort);
    this.#later(ABORT_GRACE, () => this.#end());
  }

  #end(): void {
    this.#doomed = true;
    if (this.#thread === undefined) this.#later(MOMENT, () => this.#withdraw());
    else void this.#thread.terminate();
  }

  /** No thread has begun with it: they die as they start, or what another task left behind computes in this one. */
  #withdraw(): void {
    if (this.#thread === undefined) this.#withdrawal.abort();
  }

  #later(ms: number, act: () => unknown): void {
    this.#timers.push(this.#parts.clock.after(ms, () => void act()));
  }

  /** What a thread dies of that was not ended by us. */
  #why(error: Error & { code?: unknown }): Error {
    const { task } = this.#run.head;
    const { aborted, timedOut } = this.#run;
    const left = aborted ?? timedOut;
    if (left !== undefined) return left;
    if (this.#doomed)
      return crashed(task, 'did not load the app within a minute, and was ended', { task, reason: 'load' });
    if (error.code === 'ERR_WORKER_OUT_OF_MEMORY')
      return crashed(task, 'ran out of memory', { task, reason: 'memory' }, error);
    const [, status] = /^worker exited with code: (\d+)$/.exec(error.message) ?? [];
    if (status === undefined)
      return crashed(task, `threw where nobody catches: ${error.message}`, { task, reason: 'uncaught' }, error);
    return crashed(task, `was ended by process.exit(${status})`, { task, reason: 'exit', status: Number(status) });
  }
}

/** Not by `once`, which rejects with the error that the thread dies of. */
const exitOf = (thread: Worker): Promise<unknown> => new Promise((resolve) => thread.once('exit', resolve));

const crashed = (task: string, what: string, data: object, cause?: Error): ThreadCrashedError =>
  new ThreadCrashedError(`the thread of ${task} ${what}`, { ...data }, cause);
