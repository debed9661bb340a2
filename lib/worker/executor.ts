import { pause } from '../clock.js';
import { duration } from '../duration.js';
import { RejectTask, RetryTask, TaskError, ThreadCrashedError, TimeLimitError, toError } from '../errors.js';
import { backoff } from '../declarations/retry-policy.js';
import type { Signals } from '../signals.js';
import { after, type Soon } from '../soon.js';
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

/** Ends a delivery with an outcome, or lets it pass. */
type Step = (run: Run, seat: Seat) => Soon<Outcome | undefined>;

/** Takes one delivery through its steps, and its body, as far as it gets at once: few messages have to wait anywhere. */
export class Executor {
  readonly #parts: ExecutorParts;
  readonly #arrival: readonly Step[];
  readonly #keyed: readonly Step[];

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    const { claimer, standIns } = parts;
    this.#keyed = [(run, seat) => claimer.claim(run, seat), (run) => claimer.newest(run), unfit];
    this.#arrival = [
      (run) => this.#untilDue(run),
      (run) => standIns.meet(run),
      (run, seat) => this.#seated(run, seat),
      (run) => expired(run, parts),
      ...this.#keyed,
    ];
  }

  execute(run: Run, seat: Seat): Soon<Outcome> {
    return this.#through(this.#arrival, run, seat);
  }

  /** Once more on the same delivery: newer arguments arrived during its run, and its key is still held for them. */
  again(run: Run, seat: Seat): Soon<Outcome> {
    run.again();
    return this.#through(this.#keyed, run, seat);
  }

  #through(steps: readonly Step[], run: Run, seat: Seat, passed = 0): Soon<Outcome> {
    for (let next = passed; next < steps.length;) {
      const outcome = (steps[next] as Step)(run, seat);
      next += 1;
      if (outcome instanceof Promise)
        return outcome.then((ended) =>
          ended === undefined ? this.#through(steps, run, seat, next) : this.#refused(run, ended),
        );
      if (outcome !== undefined) return this.#refused(run, outcome);
    }
    return this.#body(run);
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
  #untilDue({ head: { due } }: Run): Soon<Outcome | undefined> {
    if (due === undefined) return undefined;
    const { clock, draining } = this.#parts;
    const wait = due - clock.now();
    if (wait <= 0) return undefined;
    if (wait >= SHORT_DELAY) return { kind: 'parked', delay: wait };
    return pause(clock, wait, draining).then(() => (draining.aborted ? { kind: 'returned' } : undefined));
  }

  #seated(run: Run, seat: Seat): Soon<Outcome | undefined> {
    return after(seat.take(), (seated) =>
      !seated || run.delivery.stale || this.#parts.draining.aborted ? { kind: 'returned' } : undefined,
    );
  }

  #body(run: Run): Soon<Outcome> {
    const definition = run.definition as TaskDefinition;
    const threads = definition.thread ? this.#parts.threads : undefined;
    if (threads === undefined) return this.#counted(run, definition, undefined);
    return threads.take(run).then((taken) => (taken ? this.#counted(run, definition, threads) : { kind: 'returned' }));
  }

  #counted(run: Run, definition: TaskDefinition, threads: ThreadPool | undefined): Soon<Outcome> {
    const outcome = after(this.#before(run, definition), (early) => {
      if (early !== undefined) threads?.leave();
      return early ?? this.#run(run, definition, threads);
    });
    if (!run.counted) return outcome;
    return after(outcome, (ended) => after(this.#parts.crashes.end(run), () => ended));
  }

  /** What has to be done before the body's first line; undefined when that may run. */
  #before(run: Run, definition: TaskDefinition): Soon<Outcome | undefined> {
    const { mayBegin, crashes } = this.#parts;
    // It counts from here on: what only waits is given back when the worker takes no more.
    run.stage = 'claiming';
    if (!mayBegin()) return { kind: 'returned' };
    return after(crashes.begin(run), (dead) => dead ?? unfit(run) ?? this.#goneEarly(run, definition));
  }

  /** Some messages are acknowledged before their body begins. */
  #goneEarly(run: Run, { acksLate, long }: TaskDefinition): Soon<Outcome | undefined> {
    if (acksLate) return long === undefined ? undefined : this.#parts.standIns.post(run);
    return ackedFirst(run).then((acked) => (acked ? undefined : { kind: 'returned' }));
  }

  #run(run: Run, definition: TaskDefinition, threads: ThreadPool | undefined): Soon<Outcome> {
    this.#begin(run);
    const span = this.#parts.tracing?.process(run);
    const limit = TimeLimit.of(run, this.#parts);
    const body =
      threads === undefined
        ? this.#call(run, definition, limit, span)
        : threads.call(run, () => limit?.start(), span?.headers);
    const ended = (ending: Ending): Soon<Outcome> => {
      limit?.stop();
      return after(run.handingOver, () => this.#ended(run, definition, ending, span));
    };
    return body instanceof Promise ? this.#inTime(run, (run.body = body)).then(ended) : ended(body);
  }

  #ended(run: Run, definition: TaskDefinition, ending: Ending, span: Span | undefined): Outcome {
    run.stage = 'settling';
    const outcome = this.#judge(run, definition, ending);
    span?.end({ 'solotask.outcome': outcome.kind }, 'error' in outcome ? outcome.error : run.aborted);
    return outcome;
  }

  #begin(run: Run): void {
    const { clock, signals } = this.#parts;
    run.begin(clock.monotonic());
    if (!signals.hears('task:started')) return;
    const { rerun, claimSeconds, lease } = run;
    const { redelivered } = run.delivery;
    const waitSeconds = run.waitSeconds(clock.now());
    const fence = lease?.identity.fence;
    signals.emit('task:started', { redelivered, fence, rerun, waitSeconds, claimSeconds, ...run.event() });
  }

  #call(run: Run, definition: TaskDefinition, limit: TimeLimit | undefined, span: Span | undefined): Soon<Ending> {
    limit?.start();
    const { watch, signals } = this.#parts;
    watch?.entered(definition.name);
    const body = (): Soon<Ending> => callBody(this.#parts, definition, run.args, new RunContext(run, signals));
    return span === undefined ? body() : span.run(body);
  }

  /** The body's end; once it is aborted there is a moment for it. */
  #inTime(run: Run, body: Promise<Ending>): Promise<Ending> {
    return new Promise((resolve) => {
      run.onAbort = () => {
        const timer = this.#parts.clock.after(graceOf(run), () => resolve(OVERDUE));
        void body.then(() => timer.cancel());
      };
      // Its first lines have run by now.
      if (run.aborted !== undefined) run.onAbort();
      void body.then(resolve);
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
