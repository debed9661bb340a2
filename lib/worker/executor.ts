import { pause } from '../clock.js';
import { duration } from '../duration.js';
import { RejectTask, RetryTask, TaskError, ThreadCrashedError, TimeLimitError, toError } from '../errors.js';
import { backoff } from '../declarations/retry-policy.js';
import type { Signals } from '../signals.js';
import type { RetryPolicy, TaskDefinition } from '../task-definition.js';
import type { Span, Tracing } from '../tracing.js';
import { callBody, type BodyParts } from './body.js';
import type { Claimer } from './claim.js';
import type { Crashes } from './crashes.js';
import { expired, type ExpiryParts } from './expiry.js';
import type { LoopWatch } from './loop-watch.js';
import type { Outcome } from './outcome.js';
import type { ResultKeeper } from './result-keeper.js';
import { RunContext } from './run-context.js';
import type { Ending, Run } from './run.js';
import type { Seat } from './seat.js';
import type { StandIns } from './stand-ins.js';
import type { ThreadPool } from './thread-pool.js';
import { graceOf, TimeLimit } from './time-limit.js';

/** What an executor works with. */
export interface ExecutorParts extends ExpiryParts, BodyParts {
  readonly signals: Signals;
  readonly claimer: Claimer;
  readonly keeper: ResultKeeper;
  readonly standIns: StandIns;
  readonly crashes: Crashes;
  /** Undefined without OpenTelemetry. */
  readonly tracing?: Tracing | undefined;
  /** Asked right before a body begins; false: its worker has run as many as it may. */
  readonly mayBegin: () => boolean;
  /** Aborts when the worker takes no more work: nothing begins any more. */
  readonly draining: AbortSignal;
  /** For tasks with `thread: true`; undefined: they run on the main thread as well. */
  readonly threads: ThreadPool | undefined;
  /** Undefined: nobody minds a loop that stands still. */
  readonly watch: LoopWatch | undefined;
}

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
    const refused = await claimer.claim(run, seat);
    if (refused !== undefined) return this.#refused(run, refused);
    return (await claimer.newest(run)) ?? unfit(run) ?? (await this.#body(run));
  }

  /** The trace of a message that ends here says so; that of one which only waits goes on. */
  #refused(run: Run, outcome: Outcome): Outcome {
    const holder = dropped(outcome);
    if (holder !== undefined) {
      const span = this.#parts.tracing?.process(run);
      span?.end({ 'solotask.outcome': outcome.kind, 'solotask.holder.id': holder });
    }
    return outcome;
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

  async #body(run: Run): Promise<Outcome> {
    const definition = run.definition as TaskDefinition;
    const threads = definition.thread ? this.#parts.threads : undefined;
    if (threads !== undefined && !(await threads.take(run))) return { kind: 'returned' };
    const early = await this.#before(run, definition);
    if (early !== undefined) threads?.leave();
    const outcome = early ?? (await this.#run(run, definition, threads));
    await this.#parts.crashes.end(run);
    return outcome;
  }

  /** What has to be done before the body's first line; undefined when that may run. */
  async #before(run: Run, { acksLate, long }: TaskDefinition): Promise<Outcome | undefined> {
    const { mayBegin, crashes, standIns } = this.#parts;
    // It counts from here on: what only waits is given back when the worker takes no more.
    run.stage = 'claiming';
    if (!mayBegin()) return { kind: 'returned' };
    const outcome = (await crashes.begin(run)) ?? unfit(run);
    if (outcome !== undefined) return outcome;
    if (acksLate) return long === undefined ? undefined : standIns.post(run);
    return (await ackedFirst(run)) ? undefined : { kind: 'returned' };
  }

  async #run(run: Run, definition: TaskDefinition, threads: ThreadPool | undefined): Promise<Outcome> {
    this.#begin(run);
    const span = this.#parts.tracing?.process(run);
    const limit = TimeLimit.of(run, this.#parts);
    run.body =
      threads === undefined
        ? this.#call(run, definition, limit, span)
        : threads.call(run, () => limit?.start(), span?.headers);
    const ending = await Promise.race([run.body, this.#overdue(run, run.body)]);
    limit?.stop();
    await run.handingOver;
    run.stage = 'settling';
    const outcome = this.#judge(run, definition, ending);
    span?.end({ 'solotask.outcome': outcome.kind }, 'error' in outcome ? outcome.error : run.aborted);
    return outcome;
  }

  #begin(run: Run): void {
    const { clock, signals } = this.#parts;
    run.begin(clock.monotonic());
    const { rerun, claimSeconds, lease } = run;
    const { redelivered } = run.delivery;
    const waitSeconds = run.waitSeconds(clock.now());
    const fence = lease?.identity.fence;
    signals.emit('task:started', { redelivered, fence, rerun, waitSeconds, claimSeconds, ...run.event() });
  }

  #call(run: Run, definition: TaskDefinition, limit: TimeLimit | undefined, span: Span | undefined): Promise<Ending> {
    limit?.start();
    const { watch, signals } = this.#parts;
    watch?.entered(definition.name);
    const body = (): Promise<Ending> => callBody(this.#parts, definition, run.args, new RunContext(run, signals));
    return span === undefined ? body() : span.run(body);
  }

  #overdue(run: Run, body: Promise<Ending>): Promise<Ending> {
    return new Promise((resolve) => {
      run.onAbort = () => {
        const timer = this.#parts.clock.after(graceOf(run), () => resolve(OVERDUE));
        void body.then(() => timer.cancel());
      };
    });
  }

  #judge(run: Run, definition: TaskDefinition, ending: Ending): Outcome {
    const error = run.aborted ?? run.timedOut ?? ending.error;
    if (error === undefined) return this.#success(run, ending.value);
    this.#failed(run, error);
    if (ending === OVERDUE) return { kind: 'overdue', error };
    // What an aborted body returned or threw counts for nothing: it may have ended early because it was asked to.
    if (run.aborted !== undefined) return { kind: 'aborted' };
    if (ending.final === true) return { kind: 'dead', code: codeOf(error), error };
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
    // What operators look for by its code; of whatever else a body threw the text says most.
    const ours = error instanceof TimeLimitError || error instanceof ThreadCrashedError;
    if (attempt >= policy.attempts && ours) return { kind: 'dead', code: error.code, error };
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

/** The id of the task for which a message is dropped; undefined when it is not. */
function dropped(outcome: Outcome): string | undefined {
  if (outcome.kind === 'covered') return outcome.id;
  return outcome.kind === 'discarded' || outcome.kind === 'coalesced' ? outcome.holder.owner : undefined;
}

/** The lock is taken by now, so that whatever is wrong here ends as every other failure: dead letter, key freed. */
function unfit(run: Run): Outcome | undefined {
  run.lease?.check();
  const { delivery, problem, aborted } = run;
  if (delivery.stale || aborted !== undefined) return { kind: 'returned' };
  return problem && { kind: 'dead', code: codeOf(problem), error: problem };
}

const codeOf = (error: Error): string => (error instanceof TaskError ? error.code : 'FAILED');

/**
 * At most once: the ack is out of this process before the body's first line, or the body does not begin. False when the
 * delivery, or meanwhile the key, was lost.
 */
async function ackedFirst(run: Run): Promise<boolean> {
  if (run.delivery.ack() === 'stale') return false;
  await run.delivery.flushed();
  return run.aborted === undefined;
}
