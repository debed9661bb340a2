import { pause, type Clock, type Timer } from '../clock.js';
import { ClosedError, DeliveryLostError, toError, WorkerStoppedError } from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { Guard } from '../guard.js';
import { checkInteger, checkOptions, wrong } from '../options.js';
import type { Registry } from '../declarations/registry.js';
import type { Signals } from '../signals.js';
import type { Delivery, Subscription, Transport } from '../transport.js';
import { AckPolicy } from './ack-policy.js';
import { Claimer } from './claim.js';
import { Crashes } from './crashes.js';
import { Executor, type Instances } from './executor.js';
import { Herald } from './herald.js';
import type { Outcome } from './outcome.js';
import type { ResultBackend } from '../result-backend.js';
import { ResultKeeper } from './result-keeper.js';
import { readDelivery, type Run } from './run.js';
import { Seat, type SeatParts } from './seat.js';
import { Slots } from './slots.js';
import { StandIns } from './stand-ins.js';

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
  readonly namespace: string;
  readonly publishTimeout: number;
  readonly app: object;
  /** In `inspect`; others may have the same. */
  readonly name: string;
}

/** How a worker is set up. */
export interface WorkerOptions {
  /** @default every queue of the app's tasks */
  readonly queues?: readonly string[];
  /** Bodies that run at once, over all queues. @default 10 */
  readonly concurrency?: number;
  /** Deliveries per queue that are not settled. Those above the concurrency wait for locks. @default concurrency + 10 */
  readonly prefetch?: number;
}

/** The settings with their defaults, checked. */
export interface WorkerSettings {
  readonly queues: readonly string[];
  readonly concurrency: number;
  readonly prefetch: number;
}

const KNOWN = ['queues', 'concurrency', 'prefetch'] as const;
const MOST = 65_535;
/** ms between two looks for long runs. */
const ROUND = 60_000;
/** From then on a run counts as long, ms. RabbitMQ waits for 30 minutes by default, the wait for a seat included. */
const LATE = 600_000;

/** Checks what `app.worker()` was given. @throws ConfigError */
export function workerSettings(options: WorkerOptions, registry: Registry): WorkerSettings {
  checkOptions(options, KNOWN, 'a worker');
  const queues = options.queues ?? [...new Set(registry.definitions.map(({ queue }) => queue))];
  const concurrency = checkInteger(options.concurrency ?? 10, 'concurrency of a worker', 1, MOST - 10);
  const prefetch = checkInteger(options.prefetch ?? concurrency + 10, 'prefetch of a worker', concurrency, MOST);
  if (queues.length === 0) throw wrong('queues of a worker', queues, 'at least one queue');
  return { queues, concurrency, prefetch };
}

/** Consumes queues and runs tasks: start, quiet, stop. */
export class Worker {
  readonly settings: WorkerSettings;
  readonly #parts: WorkerParts;
  readonly #executor: Executor;
  readonly #policy: AckPolicy;
  readonly #seats: SeatParts;
  readonly #herald: Herald;
  readonly #claimer: Claimer;
  readonly #standIns: StandIns;
  #rounds: Timer | undefined;
  readonly #runs = new Map<Run, Promise<void>>();
  readonly #subscriptions: Subscription[] = [];
  /** What still came while the consumers were being cancelled. */
  readonly #late: Delivery[] = [];
  readonly #draining = new AbortController();
  /** Cuts the wait for running bodies short. */
  readonly #hurry = new AbortController();
  #started: Promise<void> | undefined;
  #quieting: Promise<void> | undefined;
  #stopping: Promise<{ aborted: number }> | undefined;

  constructor(parts: WorkerParts, settings: WorkerSettings) {
    this.#parts = parts;
    this.settings = settings;
    const draining = this.#draining.signal;
    const waitingRoom = { free: settings.prefetch - settings.concurrency };
    this.#seats = { clock: parts.clock, slots: new Slots(settings.concurrency), waitingRoom, draining };
    const keeper = new ResultKeeper(parts);
    const standIns = (this.#standIns = new StandIns({ ...parts, draining }));
    const claimer = (this.#claimer = new Claimer({ ...parts, draining }));
    this.#executor = new Executor({ ...parts, draining, keeper, claimer, standIns, crashes: new Crashes(parts) });
    this.#policy = new AckPolicy({ ...parts, draining, keeper, standIns });
    const { presence } = parts.guard;
    this.#herald = new Herald({ ...parts, ...settings, presence, runs: () => this.#runs.keys() });
  }

  /** Bodies and settlements under way. */
  get running(): number {
    return this.#runs.size;
  }

  /** Resolves when every consumer is attached, or the worker was stopped meanwhile. @throws ClosedError after a stop. */
  start(): Promise<void> {
    if (this.#draining.signal.aborted) return Promise.reject(new ClosedError('the worker was stopped: make a new one'));
    return (this.#started ??= this.#start());
  }

  async #start(): Promise<void> {
    const { transport, signals } = this.#parts;
    const { queues, concurrency, prefetch } = this.settings;
    const handler = { deliver: (delivery: Delivery) => this.#take(delivery), lost: () => this.#lost() };
    try {
      await this.#attach(() => transport.relay());
      for (const queue of queues) await this.#attach(() => transport.consume(queue, prefetch, handler));
    } catch (error) {
      await this.quiet();
      throw error;
    }
    if (this.#draining.signal.aborted) return;
    this.#herald.start();
    this.#goRound();
    signals.emit('worker:ready', { queues, concurrency });
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
    this.#seats.slots.open();
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
    this.#seats.slots.open();
    await this.#settled();
    this.#hurry.abort();
    await quiet;
    this.#rounds?.cancel();
    await this.#herald.end();
    this.#parts.signals.emit('worker:stopped', { aborted: count });
    return { aborted: count };
  }

  /** Looks for runs that take longer than anybody said, before the broker takes their messages back. */
  #goRound(): void {
    const { clock } = this.#parts;
    this.#rounds = clock.after(ROUND, () => this.#goRound(), { idle: true });
    for (const run of this.#runs.keys()) {
      const late = run.stage === 'running' && run.age(clock) >= LATE && run.definition?.acksLate === true;
      if (!late || run.delivery.stale || run.aborted !== undefined || run.handingOver !== undefined) continue;
      run.handingOver = this.#standIns.postLate(run, this.#claimer).finally(() => (run.handingOver = undefined));
    }
  }

  /** Every delivery is settled; a body that ignores its abort is not waited for. */
  async #settled(): Promise<true> {
    while (this.#runs.size > 0) await Promise.all(this.#runs.values());
    return true;
  }

  #take(delivery: Delivery): void {
    if (this.#draining.signal.aborted) {
      this.#late.push(delivery);
      return;
    }
    const run = readDelivery(delivery, this.#parts.registry, this.#parts.namespace);
    this.#runs.set(run, this.#process(run));
  }

  async #process(run: Run): Promise<void> {
    const seat = new Seat(this.#seats);
    const broken = (error: unknown): Promise<Outcome> => this.#broken(run, error);
    let outcome = await this.#executor.execute(run, seat).catch(broken);
    while ((await this.#policy.settle(run, outcome).catch(broken)) === 'again') {
      outcome = await this.#executor.again(run, seat).catch(broken);
    }
    this.#runs.delete(run);
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
