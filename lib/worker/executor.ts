import { pause } from '../clock.js';
import { duration } from '../duration.js';
import { RejectTask, RetryTask, TaskError, toError } from '../errors.js';
import { backoff } from '../declarations/retry-policy.js';
import type { Signals } from '../signals.js';
import { Entry, runInScope } from '../task-context.js';
import type { RetryPolicy, TaskDefinition } from '../task-definition.js';
import type { Claimer } from './claim.js';
import type { Crashes } from './crashes.js';
import { expired, type ExpiryParts } from './expiry.js';
import type { Outcome } from './outcome.js';
import type { ResultKeeper } from './result-keeper.js';
import { RunContext } from './run-context.js';
import type { Ending, Run } from './run.js';
import type { Seat } from './seat.js';
import type { StandIns } from './stand-ins.js';

/** Where the services' instances come from. */
export interface Instances {
  of(definition: TaskDefinition): object | Promise<object>;
}

/** What an executor works with. */
export interface ExecutorParts extends ExpiryParts {
  readonly signals: Signals;
  readonly claimer: Claimer;
  readonly keeper: ResultKeeper;
  readonly standIns: StandIns;
  readonly crashes: Crashes;
  readonly instances: Instances;
  /** Asked right before a body begins; false: its worker has run as many as it may. */
  readonly mayBegin: () => boolean;
  /** Aborts when the worker takes no more work: nothing begins any more. */
  readonly draining: AbortSignal;
  /** The app of the run, for `tasks(Class)` inside a body. */
  readonly app: object;
}

/** How long an aborted body may take to end before its message goes back without it, ms. */
export const ABORT_GRACE = 1_000;
/** Below this a delivery that is not due waits here, ms; else the broker keeps it. */
const SHORT_DELAY = 1_000;

/** Of a body that goes on after its abort: it has no end yet. */
const OVERDUE: Ending = { error: undefined, value: undefined };

/** Takes one delivery through its steps. Each step either ends it with an outcome or lets it pass. */
export class Executor {
  readonly #parts: ExecutorParts;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
  }

  async execute(run: Run, seat: Seat): Promise<Outcome> {
    return (
      (await this.#untilDue(run)) ??
      (await this.#parts.standIns.meet(run)) ??
      (await this.#seated(run, seat)) ??
      (await expired(run, this.#parts)) ??
      (await this.#keyed(run, seat))
    );
  }

  /** Once more on the same delivery: newer arguments arrived during its run, and its key is still held for them. */
  again(run: Run, seat: Seat): Promise<Outcome> {
    run.again();
    return this.#keyed(run, seat);
  }

  async #keyed(run: Run, seat: Seat): Promise<Outcome> {
    const { claimer } = this.#parts;
    return (
      (await claimer.claim(run, seat)) ?? (await claimer.newest(run)) ?? this.#fitToRun(run) ?? (await this.#body(run))
    );
  }

  /** A short wait needs no room of its own: it holds neither a seat nor a lock, and the prefetch bounds it. */
  async #untilDue(run: Run): Promise<Outcome | undefined> {
    const { clock, draining } = this.#parts;
    const wait = (run.head.due ?? 0) - clock.now();
    if (wait <= 0) return undefined;
    if (wait >= SHORT_DELAY) return { kind: 'parked', delay: wait };
    await pause(clock, wait, draining);
    return draining.aborted ? { kind: 'returned' } : undefined;
  }

  async #seated(run: Run, seat: Seat): Promise<Outcome | undefined> {
    if (!(await seat.take())) return { kind: 'returned' };
    return run.delivery.stale || this.#parts.draining.aborted ? { kind: 'returned' } : undefined;
  }

  /** The lock is taken by now, so that whatever is wrong here ends as every other failure: dead letter, key freed. */
  #fitToRun(run: Run): Outcome | undefined {
    run.lease?.check();
    const { delivery, problem, aborted } = run;
    if (delivery.stale || aborted !== undefined) return { kind: 'returned' };
    return problem && { kind: 'dead', code: problem instanceof TaskError ? problem.code : 'FAILED', error: problem };
  }

  async #body(run: Run): Promise<Outcome> {
    const { crashes, mayBegin } = this.#parts;
    if (!mayBegin()) return { kind: 'returned' };
    const early = (await crashes.begin(run)) ?? (await this.#acknowledge(run));
    const outcome = early ?? (await this.#call(run));
    await crashes.end(run);
    return outcome;
  }

  /** What has to be acknowledged before the body's first line; undefined when that may run. */
  async #acknowledge(run: Run): Promise<Outcome | undefined> {
    const { acksLate, long } = run.definition as TaskDefinition;
    if (acksLate) return long === undefined ? undefined : this.#parts.standIns.post(run);
    return (await ackedFirst(run)) ? undefined : { kind: 'returned' };
  }

  async #call(run: Run): Promise<Outcome> {
    const definition = run.definition as TaskDefinition;
    run.begin(this.#parts.clock.monotonic());
    const fence = run.lease?.identity.fence;
    this.#parts.signals.emit('task:started', { redelivered: run.delivery.redelivered, fence, ...run.event() });
    run.body = this.#invoke(run, definition);
    const ending = await Promise.race([run.body, this.#overdue(run, run.body)]);
    await run.handingOver;
    run.stage = 'settling';
    return this.#judge(run, definition, ending);
  }

  /** Never rejects: what the body threw is its ending. */
  async #invoke(run: Run, definition: TaskDefinition): Promise<Ending> {
    const { signals, instances, app } = this.#parts;
    try {
      const service = await instances.of(definition);
      const method = Reflect.get(service, definition.method) as (...args: unknown[]) => unknown;
      const entry = new Entry(definition.service, definition.method);
      const scope = { context: new RunContext(run, signals), app, entry };
      const value = await runInScope(scope, () => Reflect.apply(method, service, run.args));
      return { error: undefined, value };
    } catch (thrown) {
      return { error: toError(thrown), value: undefined };
    }
  }

  #overdue(run: Run, body: Promise<Ending>): Promise<Ending> {
    return new Promise((resolve) => {
      run.onAbort = () => {
        const timer = this.#parts.clock.after(ABORT_GRACE, () => resolve(OVERDUE));
        void body.then(() => timer.cancel());
      };
    });
  }

  #judge(run: Run, definition: TaskDefinition, ending: Ending): Outcome {
    const error = run.aborted ?? ending.error;
    if (error === undefined) return this.#success(run, ending.value);
    this.#failed(run, error);
    if (ending === OVERDUE) return { kind: 'overdue', error };
    // What an aborted body returned or threw counts for nothing: it may have ended early because it was asked to.
    if (run.aborted !== undefined) return { kind: 'aborted' };
    return this.#afterFailure(run, definition.retry, error);
  }

  /** A result that JSON cannot carry fails the task, and for good: to run again would return the same. */
  #success(run: Run, value: unknown): Outcome {
    try {
      return { kind: 'succeeded', value: this.#parts.keeper.pack(run, value) };
    } catch (thrown) {
      const error = toError(thrown);
      this.#failed(run, error);
      return { kind: 'dead', code: 'PAYLOAD', error };
    }
  }

  #failed(run: Run, error: Error): void {
    this.#parts.signals.emit('task:failed', { ...run.event(), error, seconds: run.seconds(this.#parts.clock) });
  }

  #afterFailure(run: Run, policy: RetryPolicy, error: Error): Outcome {
    const { attempt } = run.head;
    if (error instanceof RejectTask) return { kind: 'dead', code: error.code, error };
    if (attempt >= policy.attempts) return { kind: 'dead', code: 'FAILED', error };
    const wished = error instanceof RetryTask ? error.delay : undefined;
    try {
      const usual = (): number => backoff(policy, attempt, this.#parts.clock.random());
      return {
        kind: 'retry',
        error,
        delay: wished === undefined ? usual() : duration(wished, 'the delay of RetryTask'),
      };
    } catch (wrong) {
      return { kind: 'dead', code: 'CONFIG', error: toError(wrong) };
    }
  }
}

/**
 * At most once: the ack is out of this process before the body's first line, or the body does not begin. False when the
 * delivery, or meanwhile the key, was lost.
 */
async function ackedFirst(run: Run): Promise<boolean> {
  if (run.delivery.ack() === 'stale') return false;
  await run.delivery.flushed();
  return run.aborted === undefined;
}
