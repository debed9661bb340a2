import { pause, type Clock } from '../clock.js';
import {
  BrokerUnavailableError,
  ClosedError,
  DeliveryLostError,
  toError,
  UnroutableError,
  WorkerStoppedError,
} from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { Guard } from '../guard.js';
import type { Registry } from '../declarations/registry.js';
import type { RunEvent, Signals } from '../signals.js';
import { attempt, type Soon } from '../soon.js';
import type { Tracing } from '../tracing.js';
import type { Delivery, Relaying, Subscription, Transport } from '../transport.js';
import { AckPolicy } from './ack-policy.js';
import { Claimer } from './claim.js';
import type { Instances } from './body.js';
import type { CeleryNode } from './celery/node.js';
import { Crashes } from './crashes.js';
import { Executor } from './executor.js';
import { Herald } from './herald.js';
import { LoopWatch } from './loop-watch.js';
import type { Outcome } from './outcome.js';
import type { ResultBackend } from '../result-backend.js';
import { ResultKeeper } from './result-keeper.js';
import { Rounds } from './rounds.js';
import { readDelivery, type Run } from './run.js';
import { Seat, type SeatParts } from './seat.js';
import { Slots } from './slots.js';
import { StandIns } from './stand-ins.js';
import { ThreadPool, type ThreadSettings } from './thread-pool.js';
import type { WorkerSettings } from './worker-settings.js';

/** What a worker works with. */
export interface WorkerParts {
  readonly transport: Transport;
  readonly guard: Guard;
  /** Undefined: the app keeps no results. */
  readonly results: ResultBackend | undefined;
  readonly fences: FenceSource;
  readonly clock: Clock;
  readonly signals: Signals;
  readonly registry: Registry;
  readonly instances: Instances;
  /** Undefined without OpenTelemetry. */
  readonly tracing?: Tracing | undefined;
  readonly namespace: string;
  readonly publishTimeout: number;
  readonly app: object;
  /** In `inspect`; others may have the same. */
  readonly name: string;
  /** Undefined: no task wants a thread, or all run on the main one. */
  readonly threads?: ThreadSettings | undefined;
}

/** ms between two looks at queues that are to be drained. */
const LOOK = 250;

/** Consumes queues and runs tasks: start, quiet, stop. */
export class Worker {
  readonly settings: WorkerSettings;
  readonly #parts: WorkerParts;
  readonly #executor: Executor;
  readonly #policy: AckPolicy;
  readonly #slots: readonly Slots[];
  /** By queue. */
  readonly #seats: ReadonlyMap<string, SeatParts>;
  readonly #herald: Herald;
  readonly #rounds: Rounds;
  readonly #threads: ThreadPool | undefined;
  readonly #watch: LoopWatch | undefined;
  /** Deliveries under way, with what settles as they end. */
  readonly #runs = new Map<Run, Soon<void>>();
  readonly #subscriptions: Subscription[] = [];
  #relay: Relaying | undefined;
  /** Undefined: Celery's monitors do not see this worker. */
  #node: CeleryNode | undefined;
  /** Deliveries so far. */
  #taken = 0;
  /** Bodies that may still begin. */
  #left: number;
  /** What still came while the consumers were being cancelled. */
  readonly #late: Delivery[] = [];
  readonly #draining = new AbortController();
  /** Cuts the wait for running bodies short. */
  readonly #hurry = new AbortController();
  #ready = false;
  #started: Promise<void> | undefined;
  #quieting: Promise<void> | undefined;
  #stopping: Promise<{ aborted: number }> | undefined;

  constructor(parts: WorkerParts, settings: WorkerSettings) {
    this.#parts = parts;
    this.settings = settings;
    this.#left = settings.maxTasks;
    const draining = this.#draining.signal;
    const rooms = settings.lanes.map((lane) => ({ slots: new Slots(lane.concurrency), ...lane }));
    this.#slots = rooms.map(({ slots }) => slots);
    this.#seats = new Map(
      rooms.flatMap(({ queues, slots, prefetch, concurrency }) =>
        queues.map((queue) => {
          const waitingRoom = { free: prefetch - concurrency };
          return [queue, { clock: parts.clock, slots: slots.line(), waitingRoom, draining }] as const;
        }),
      ),
    );
    const keeper = new ResultKeeper(parts);
    const standIns = new StandIns({ ...parts, draining });
    const claimer = new Claimer({ ...parts, draining });
    const runs = (): Iterable<Run> => this.#runs.keys();
    const shared = { ...parts, draining, keeper, standIns, claimer, runs };
    const threads = parts.threads && new ThreadPool({ ...parts, draining }, parts.threads);
    const watch = LoopWatch.of(parts, runs);
    const mayBegin = (): boolean => this.#mayBegin();
    this.#executor = new Executor({ ...shared, crashes: new Crashes(parts), mayBegin, threads, watch });
    this.#threads = threads;
    this.#watch = watch;
    this.#policy = new AckPolicy(shared);
    this.#rounds = new Rounds(shared);
    const { presence } = parts.guard;
    this.#herald = new Herald({ ...parts, ...settings, presence, runs: () => this.#runs.keys() });
  }

  /** Bodies and settlements under way. */
  get running(): number {
    return this.#runs.size;
  }

  /** The runs whose body is under way. */
  get bodies(): readonly RunEvent[] {
    return [...this.#runs.keys()].filter(({ stage }) => stage === 'running').map((run) => run.event());
  }

  get state(): 'starting' | 'ready' | 'detached' | 'draining' {
    if (this.#draining.signal.aborted) return 'draining';
    if (!this.#ready) return 'starting';
    return this.#subscriptions.every(({ attached }) => attached !== false) ? 'ready' : 'detached';
  }

  /** Resolves when every consumer is attached, or the worker was stopped meanwhile. @throws ClosedError after a stop. */
  start(): Promise<void> {
    if (this.#draining.signal.aborted) return Promise.reject(new ClosedError('the worker was stopped: make a new one'));
    return (this.#started ??= this.#start());
  }

  async #start(): Promise<void> {
    const { transport, signals } = this.#parts;
    const { queues, concurrency, lanes } = this.settings;
    const handler = { deliver: (delivery: Delivery) => this.#take(delivery), lost: () => this.#lost() };
    try {
      if (this.settings.taskEvents) await this.#showCelery();
      await this.#attach(async () => (this.#relay = await transport.relay()));
      for (const { queues: shared, prefetch } of lanes) {
        for (const queue of shared) await this.#attach(() => transport.consume(queue, prefetch, handler));
      }
    } catch (error) {
      await this.quiet();
      await this.#node?.stop();
      throw error;
    }
    if (this.#draining.signal.aborted) return;
    this.#herald.start();
    this.#rounds.start();
    this.#ready = true;
    this.#watch?.start();
    signals.emit('worker:ready', { queues, concurrency });
  }

  async #showCelery(): Promise<void> {
    const { CeleryNode: Node } = await import('./celery/node.js');
    this.#node = new Node({ ...this.#parts, settings: this.settings });
    await this.#node.start();
  }

  /** A stop that comes while a consumer is being attached ends it as well. */
  async #attach(open: () => Promise<Subscription>): Promise<void> {
    if (this.#draining.signal.aborted) return;
    const subscription = await open();
    this.#subscriptions.push(subscription);
    if (this.#draining.signal.aborted) await this.#detach();
  }

  /** Takes no more work and gives back what has not begun; what runs goes on. */
  quiet(): Promise<void> {
    return (this.#quieting ??= this.#quiet());
  }

  async #quiet(): Promise<void> {
    this.#draining.abort();
    await this.#detach();
    for (const run of this.#runs.keys()) if (run.stage === 'waiting') run.delivery.requeue();
    for (const slots of this.#slots) slots.open();
    this.#parts.signals.emit('worker:quiet', { running: this.#runs.size });
  }

  /** What comes before the broker has heard the cancel is given back after it, else it would come straight again. */
  async #detach(): Promise<void> {
    await Promise.all(this.#subscriptions.splice(0).map((subscription) => subscription.cancel()));
    for (const delivery of this.#late.splice(0)) delivery.requeue();
  }

  /**
   * Goes quiet, waits at most `timeout` ms for what runs, then aborts it. Resolves to the number of tasks that were
   * aborted. Called again it shortens the wait: `stop({ timeout: 0 })` skips to the abort.
   */
  stop({ timeout = 25_000 }: { timeout?: number } = {}): Promise<{ aborted: number }> {
    const { clock } = this.#parts;
    if (timeout <= 0) this.#hurry.abort();
    else void pause(clock, timeout, this.#hurry.signal).then(() => this.#hurry.abort());
    return (this.#stopping ??= this.#stop());
  }

  async #stop(): Promise<{ aborted: number }> {
    const quiet = this.quiet();
    const inTime = await Promise.race([quiet.then(() => this.#settled()), aborted(this.#hurry.signal)]);
    // A broker that does not answer the cancel must not keep the bodies from hearing of the stop.
    const stopped = (): Error => new WorkerStoppedError('the worker stops, and the time to finish has passed');
    const count = inTime === true ? 0 : this.#abortAll(() => true, stopped);
    for (const slots of this.#slots) slots.open();
    await this.#settled();
    this.#hurry.abort();
    await quiet;
    this.#rounds.end();
    this.#watch?.stop();
    await this.#threads?.close();
    await this.#herald.end();
    await this.#node?.stop();
    this.#parts.signals.emit('worker:stopped', { aborted: count });
    return { aborted: count };
  }

  /** Every delivery is settled; a body that ignores its abort is not waited for. */
  async #settled(): Promise<true> {
    while (this.#runs.size > 0) for (const ended of this.#runs.values()) await ended;
    return true;
  }

  /**
   * Resolves when nothing is left to do: two looks in a row find nothing ready in its queues, nothing on the way to them
   * that is due, and nothing in hand. What falls due later (retries, delays) and what others have in hand are not waited
   * for. Once it takes no more work: when what ran has ended.
   */
  async drained(): Promise<void> {
    for (let seen = -1; ;) {
      await this.#settled();
      if (this.#draining.signal.aborted) break;
      const empty = (await this.#isEmpty()) && this.#runs.size === 0;
      if (empty && seen === this.#taken) return;
      seen = empty ? this.#taken : -1;
      await pause(this.#parts.clock, LOOK, this.#draining.signal);
    }
    await this.quiet();
    await this.#settled();
  }

  /** Not as long as the broker does not say. */
  async #isEmpty(): Promise<boolean> {
    const { transport } = this.#parts;
    try {
      const figures = await Promise.all(this.settings.queues.map((queue) => transport.figures(queue)));
      return figures.every(({ ready }) => ready === 0) && (await this.#relay?.busy()) === false;
    } catch (error) {
      const away = error instanceof BrokerUnavailableError || error instanceof UnroutableError;
      if (away || this.#draining.signal.aborted) return false;
      throw error;
    }
  }

  #mayBegin(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    if (this.#left === 0) void this.quiet();
    return true;
  }

  #take(delivery: Delivery): void {
    this.#taken++;
    if (this.#draining.signal.aborted) {
      this.#late.push(delivery);
      return;
    }
    const run = readDelivery(delivery, this.#parts.registry, this.#parts.namespace);
    this.#node?.received(run);
    const seat = new Seat(this.#seats.get(delivery.queue) as SeatParts);
    this.#runs.set(run, undefined);
    const ended = this.#process(run, seat, () => this.#executor.execute(run, seat));
    // Most end at once, and are gone by now.
    if (ended instanceof Promise) this.#runs.set(run, ended);
  }

  #process(run: Run, seat: Seat, execute: () => Soon<Outcome>): Soon<void> {
    const settle = (outcome: Outcome): Soon<void> => this.#settle(run, seat, outcome);
    return attempt(execute, settle, (thrown) => this.#broken(run, thrown).then(settle));
  }

  #settle(run: Run, seat: Seat, outcome: Outcome): Soon<void> {
    const end = (): void => this.#end(run, seat, outcome);
    return attempt(
      () => this.#policy.settle(run, outcome),
      (next) => (next === 'again' ? this.#process(run, seat, () => this.#executor.again(run, seat)) : end()),
      (thrown) => this.#broken(run, thrown).then(end),
    );
  }

  #end(run: Run, seat: Seat, outcome: Outcome): void {
    this.#runs.delete(run);
    this.#node?.over(run, outcome);
    // An overdue body keeps its seat and its key; when it ends after all, both are free at once.
    if (outcome.kind === 'overdue') void run.body?.then(() => this.#policy.letGo(run)).finally(() => seat.leave());
    else seat.leave();
  }

  /** A failure that nobody foresaw is never acknowledged. */
  async #broken(run: Run, thrown: unknown): Promise<Outcome> {
    const { signals, clock } = this.#parts;
    const error = toError(thrown);
    signals.emit('task:failed', { ...run.event(), error, seconds: 0 });
    await this.#policy.letGo(run);
    await pause(clock, 1_000, this.#draining.signal);
    run.delivery.requeue();
    return { kind: 'aborted' };
  }

  /** The broker has given these messages to somebody else: a second run of them may start any moment. */
  #lost(): void {
    const gone = (run: Run): boolean => run.delivery.stale && run.definition?.acksLate !== false && !run.goesOn;
    this.#abortAll(
      gone,
      () => new DeliveryLostError('the link that brought this message was lost; it is delivered again'),
    );
  }

  /** Returns how many bodies were aborted by it. */
  #abortAll(which: (run: Run) => boolean, reason: () => Error): number {
    const runs = [...this.#runs.keys()].filter((run) => which(run) && run.aborted === undefined);
    for (const run of runs) run.abort(reason());
    return runs.filter(({ stage }) => stage === 'running').length;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
