import { appSettings, idlePriorities, type AppOptions, type AppSettings } from './app-options.js';
import { appOf, bind, prefer, unbind } from './binding.js';
import { batchSettings, callSettings, type BatchOptions, type CallOptions } from './call-options.js';
import { sendSettings, type SendOptions } from './send-options.js';
import { addressee } from './direct-calls.js';
import { submitAll } from '../client/batch.js';
import { prepare, prepareAll, prepareNamed, type Call } from '../client/call.js';
import { offerOf } from '../client/offer.js';
import type { Receipt } from '../client/receipt.js';
import { Transactions, type TransactionBody, type TransactionRunner } from '../client/transaction.js';
import { systemClock, type Clock } from '../clock.js';
import { ClosedError, ConfigError, toError } from '../errors.js';
import { checkName, wrong } from '../options.js';
import { healthOf, Vitals, type Health } from '../health.js';
import { Instances } from './instances.js';
import { closeLinks, declareDead, openLinks, type Links } from './links.js';
import { Inspector } from '../inspector/inspector.js';
import { openMetrics, type Metrics } from '../metrics.js';
import { Registry } from '../declarations/registry.js';
import { Signals, type EventName, type Listener } from '../signals.js';
import { REHEARSE, type Rehearsal } from './rehearsal.js';
import { IN_THREAD, refuseMemoryInThread, refuseWorkerInThread, threadsOf } from './threads.js';
import { makeStub, type ReceiptOf, type Stub } from './stub.js';
import type { Class, TaskDefinition } from '../task-definition.js';
import { answerDirectCalls, type DirectCall } from '../declarations/guarded-method.js';
import { pack } from '../declarations/payload.js';
import { coalesces, recordName } from '../declarations/uniqueness.js';
import type { ThreadParts } from '../worker/thread-body.js';
import { DirectRun } from '../worker/direct-run.js';
import { Worker } from '../worker/worker.js';
import { workerSettings, type WorkerOptions } from '../worker/worker-settings.js';
import { WorkerHandle, type AppWorker } from './worker-handle.js';

/** By this symbol `task-worker` knows an app, whichever copy of the package made it. */
export const APP = Symbol.for('solotask.app');

/** Answers plain calls of guarded methods. */
const CALL = Symbol('call');

/** A constructor, for calls that name a service class. */
type ServiceClass<T extends object> = Class<T>;

/** The names of the methods of a service. */
export type MethodName<T> = keyof Stub<T> & string;

type AnyRunner = TransactionRunner<[], unknown, unknown>;

/** Declared tasks, one broker and one set of locks. Opens nothing until its first use. */
export class App {
  readonly [APP] = 1;
  readonly #signals = new Signals();
  /** Those that were started and not stopped. */
  readonly #workers = new Set<WorkerHandle>();
  /** Plain calls under way. */
  readonly #calls = new Set<Promise<unknown>>();
  readonly #vitals = new Vitals(this.#signals, () => this.#opened?.transport.health());
  readonly #transactions: Transactions;
  #settings: AppSettings;
  #clock: Clock;
  #rehearsal: Rehearsal | undefined;
  #registry: Registry | undefined;
  /** Of all its workers: one instance per class. */
  #instances: Instances | undefined;
  #links: Promise<Links> | undefined;
  /** The links, once they are open. */
  #opened: Links | undefined;
  #metrics: Promise<Metrics> | undefined;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;
  /** Nothing that was begun before the close is waited for any more. */
  #shut = false;

  constructor(options: AppOptions, clock: Clock = systemClock) {
    this.#settings = appSettings(options);
    this.#clock = clock;
    const submit = async (call: Call): Promise<Receipt> => (await this.#reach()).client.submit(call);
    this.#transactions = new Transactions({ clock, signals: this.#signals, submit });
    bind(this);
  }

  /** The addresses to use where the app's code leaves them open; what the code says wins. For runners, before `connect`. */
  defaults({ broker, locks }: Pick<AppOptions, 'broker' | 'locks'>): void {
    const { broker: ownBroker, locks: ownLocks } = this.#settings;
    this.#settings = { ...this.#settings, broker: ownBroker || broker, locks: ownLocks || locks };
  }

  /**
   * For solotask/testing: memory parts and a clock instead of what the code and the environment say.
   * @internal
   * @throws ConfigError when the app is in use.
   */
  [REHEARSE](rehearsal: Rehearsal): void {
    if (this.#links !== undefined || this.#workers.size > 0 || this.#closed !== undefined) {
      throw new ConfigError('testApp() was given an app that is in use or closed: call it before the first enqueue');
    }
    const results = this.#settings.results !== undefined && this.#settings.results !== false;
    this.#settings = { ...this.#settings, broker: 'memory:', locks: 'memory:', results };
    this.#clock = rehearsal.clock;
    this.#rehearsal = rehearsal;
    prefer(this);
  }

  /** Broker and locks as the code (or a runner) gave them, without connecting; undefined where nobody did. */
  get addresses(): Pick<AppSettings, 'broker' | 'locks'> {
    const { broker, locks } = this.#settings;
    return { broker, locks };
  }

  /** Every task, resolved and checked. @throws ConfigError when a declaration does not hold together. */
  get definitions(): readonly TaskDefinition[] {
    return this.#resolve().definitions;
  }

  /** What is allowed and probably not meant, a sentence each. */
  get warnings(): readonly string[] {
    const { definitions, warnings } = this.#resolve();
    return [...warnings, ...idlePriorities(definitions, this.#settings.queues)];
  }

  /** Whether `services` has this class, itself or by an instance. */
  lists(service: Class): boolean {
    return this.#resolve().lists(service);
  }

  /** Returns the function that unsubscribes. Events and payloads: `TaskEvents`. */
  on<E extends EventName>(event: E, listener: Listener<E>): () => void {
    return this.#signals.on(event, listener);
  }

  /**
   * Opens the links now instead of at the first use. Resolves to the addresses, secrets masked.
   * @param options `timeout` in ms (@default `publishTimeout`); `name` in the broker's list of connections (@default
   * namespace, host and process).
   */
  async connect(options: { timeout?: number; name?: string } = {}): Promise<{ broker: string; locks: string }> {
    const { timeout = this.#settings.publishTimeout, name } = options;
    const { transport, guard } = await this.#open(timeout, name);
    // The links may have been opened without Redis, for a task with `onLockError: 'publish'`.
    await guard.connect(timeout);
    return { broker: transport.address, locks: guard.address };
  }

  /** The methods of a service, to be enqueued: `app.tasks(LoanService).recompute(42)`. Bodies never run here. */
  tasks<T extends object>(service: ServiceClass<T>, options?: CallOptions): Stub<T> {
    return makeStub<T>((method, args) => this.#enqueue(service, method, args, options));
  }

  /** The same by name, for a method that is only known at run time. */
  enqueue<T extends object, M extends MethodName<T>>(
    service: ServiceClass<T>,
    method: M,
    args: Parameters<Stub<T>[M]>,
    options?: CallOptions,
  ): Promise<ReceiptOf<T, M>> {
    return this.#enqueue(service, method, args, options) as Promise<ReceiptOf<T, M>>;
  }

  /**
   * Many calls of one method in one go; `argsList` has the arguments of each. Settles all of them, then gives a receipt
   * for each, in order: of calls with one key the first is published, the others are `discarded`. `publishTimeout`
   * bounds each call, not the whole.
   * @throws BatchError with receipts and errors by place, when a call failed.
   */
  async enqueueMany<T extends object, M extends MethodName<T>>(
    service: ServiceClass<T>,
    method: M,
    argsList: readonly Parameters<Stub<T>[M]>[],
    options?: BatchOptions,
  ): Promise<ReceiptOf<T, M>[]> {
    const definition = this.#resolve().of(service, method);
    const settings = batchSettings(options, argsList, this.#clock.now());
    this.#refuseClosed();
    const calls = prepareAll(this.#clock, definition, argsList, settings);
    const submit = this.#submitter(calls.flatMap((call) => (call instanceof Error ? [] : [call])));
    return (await submitAll(calls, submit)) as ReceiptOf<T, M>[];
  }

  /**
   * A task by its name on the wire, whoever runs it (Celery, say); no lock is taken, and the arguments are not checked
   * against any method. `queue` may be left out for a task of this app.
   * @throws ConfigError when there is no such queue, PayloadError for what JSON cannot carry.
   */
  async send(name: string, options: SendOptions = {}): Promise<Receipt> {
    const task = checkName(name, 'the task name of app.send', 255);
    const settings = sendSettings(options, this.#resolve(), task, this.#clock.now());
    this.#refuseClosed();
    return this.#submit(prepareNamed(this.#clock, task, settings));
  }

  /**
   * Runs `body`, which runs a transaction of a database library; the tasks that it enqueues get a `deferred` receipt, and
   * are locked and published in their order once it has resolved: `app.transaction(() => db.transaction(…))`. Rejected:
   * they never were. For a library that loses the async context, `runner` hands the body over to it:
   * `app.transaction((body) => db.transaction(body), async (tx: Tx) => …)`; a runner that calls the body again starts over.
   * Inside another transaction of this app it is a savepoint.
   *
   * Resolves to the result of the body (of the runner), after the publishes. One that failed is told by the event
   * `enqueue:failed` and by the `settled()` of its receipt, never by a rejection.
   *
   * @throws ClosedError before the body is called; whatever the body (the runner) rejects with.
   */
  transaction<T>(body: TransactionBody<[], T>): Promise<T>;
  transaction<A extends unknown[], T, R>(runner: TransactionRunner<A, T, R>, body: TransactionBody<A, T>): Promise<R>;
  async transaction(...given: readonly unknown[]): Promise<unknown> {
    if (given.length === 0 || given.length > 2 || given.some((one) => typeof one !== 'function')) {
      throw wrong('what app.transaction was given', given, 'a body, or a runner and a body');
    }
    this.#refuseClosed();
    const [body, runner] = given.toReversed() as [TransactionBody<[], unknown>, AnyRunner?];
    return this.#transactions.run(runner ?? ((run) => run()), body);
  }

  /** A worker of this app's tasks, not started. @throws ConfigError */
  worker(options: WorkerOptions = {}): AppWorker {
    refuseWorkerInThread();
    const settings = workerSettings(options, this.#resolve());
    // Under test a body in a thread would see none of the test's objects.
    const threads = this.#rehearsal ? undefined : threadsOf(options.threads, settings, this.#resolve());
    const make = async (): Promise<Worker> => {
      const links = await this.#open();
      await declareDead(links, settings.queues, this.#settings);
      const { namespace, publishTimeout } = this.#settings;
      const parts = { ...links, ...this.#bodies(), ...this.#basics(), namespace, publishTimeout };
      return new Worker({ ...parts, threads: threads?.(this.addresses) }, settings);
    };
    return new WorkerHandle(settings, make, this.#workers);
  }

  /** What operators look at and mend: dead letters, locks, queues, workers. Opens the links. */
  async inspector(): Promise<Inspector> {
    const registry = this.#resolve();
    const links = await this.#open();
    const { namespace, publishTimeout } = this.#settings;
    return new Inspector({ ...links, ...this.#basics(), registry, namespace, publishTimeout });
  }

  /** Whether work gets done here, and why not: for a readiness probe. Asks nobody. */
  health(): Health {
    const workers = [...this.#workers].map(({ state }) => state);
    const unopened = this.#links === undefined ? 'new' : 'opening';
    const open = this.#opened === undefined ? unopened : 'opened';
    return healthOf(this.#vitals, { stage: this.#closed === undefined ? open : 'closed', workers });
  }

  /** What Prometheus reads. Counts from the first call on, so make it at the start; gives the same each time. */
  async metrics(): Promise<Metrics> {
    return (this.#metrics ??= openMetrics({
      ...this.#basics(),
      vitals: this.#vitals,
      definitions: this.definitions,
      ready: () => this.health().ready,
      bodies: () => [...this.#workers].flatMap(({ bodies }) => bodies),
      figures: async (queue) => (await this.#links)?.transport.figures(queue),
    }));
  }

  /** Refuses new work, stops its workers, flushes what is on its way, closes the links. The process can end then. */
  close(): Promise<void> {
    return (this.#closed ??= this.#close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * For a thread of a worker, which runs the bodies of this app and has its events told on the main thread.
   * @internal
   */
  [IN_THREAD](tell: (event: EventName, payload: object) => void): ThreadParts {
    this.#signals.divert(tell);
    return this.#bodies();
  }

  #basics(): { clock: Clock; signals: Signals } {
    return { clock: this.#clock, signals: this.#signals };
  }

  /** What bodies are called with: one instance of each class, whatever the number of workers. */
  #bodies(): ThreadParts {
    this.#instances ??= new Instances(this.#settings.services(), this.#settings.container);
    return { registry: this.#resolve(), instances: this.#instances, app: this };
  }

  async #close(): Promise<void> {
    unbind(this);
    this.#closing.abort();
    await Promise.all([...this.#workers].map((worker) => worker.stop()));
    await Promise.allSettled(this.#calls);
    await this.#transactions.idle(this.#settings.publishTimeout);
    this.#shut = true;
    const links = await this.#links?.catch(() => undefined);
    if (links !== undefined) await closeLinks(links);
  }

  /**
   * A plain call of a `@ShouldCompute` method; `service` is the class that this app lists.
   * @internal
   */
  [CALL](service: Class, call: DirectCall): Promise<unknown> {
    const running = this.#call(service, call);
    this.#calls.add(running);
    return running.finally(() => this.#calls.delete(running));
  }

  async #call(service: Class, call: DirectCall): Promise<unknown> {
    const definition = this.#resolve().of(service, call.method);
    const key = definition.key?.(call.args);
    if (key === undefined) return call.body();
    const offer = coalesces(definition) ? offerOf(definition, pack(definition, call.args)) : undefined;
    const links = await this.#open();
    const { namespace, publishTimeout } = this.#settings;
    const parts = { ...links, ...this.#basics(), publishTimeout, closing: this.#closing.signal };
    const record = recordName(namespace, definition.name, key);
    return new DirectRun({ ...parts, app: this }, { definition, key, record, args: offer }).run(call);
  }

  #resolve(): Registry {
    return (this.#registry ??= new Registry(this.#settings.services()));
  }

  #enqueue(service: Class, method: string, args: readonly unknown[], options?: CallOptions): Promise<Receipt> {
    try {
      const definition = this.#resolve().of(service, method);
      const settings = callSettings(options, this.#clock.now());
      this.#refuseClosed();
      return this.#submit(prepare(this.#clock, definition, args, settings));
    } catch (error) {
      return Promise.reject(toError(error));
    }
  }

  #submit(call: Call): Promise<Receipt> {
    // The usual case takes no promise more than it needs.
    if (this.#opened !== undefined && !this.#transactions.inside) return this.#opened.client.submit(call);
    return this.#submitter([call])(call);
  }

  /**
   * How the calls of one enqueue go on: every enqueue passes here. Nothing is awaited before a transaction has them, for
   * its body may not wait either.
   */
  #submitter(calls: readonly Call[]): (call: Call) => Promise<Receipt> {
    const deferred = this.#transactions.defer(calls.filter(({ afterCommit }) => afterCommit));
    return async (call) =>
      deferred?.get(call) ?? this.#transactions.outside(async () => (await this.#open()).client.submit(call));
  }

  #refuseClosed(): void {
    if (this.#closed !== undefined) throw new ClosedError('the app is closed');
  }

  async #open(timeout?: number, name?: string): Promise<Links> {
    this.#refuseClosed();
    return this.#reach(timeout, name);
  }

  /** One opening for all; a failed one is forgotten, so that the next use tries again. */
  #reach(timeout = this.#settings.publishTimeout, name?: string): Promise<Links> {
    if (this.#shut) return Promise.reject(new ClosedError('the app is closed'));
    if (this.#links !== undefined) return this.#links;
    const closed = this.#closing.signal;
    const shared = { settings: this.#settings, ...this.#basics(), rehearsal: this.#rehearsal };
    const parts = { ...shared, name, closed };
    const opening = Promise.resolve().then(() => {
      refuseMemoryInThread(this.#settings);
      return openLinks({ ...parts, registry: this.#resolve() }, timeout);
    });
    opening.then(
      (links) => (this.#opened = links),
      () => (this.#links = undefined),
    );
    return (this.#links = opening);
  }
}

answerDirectCalls((call) => {
  const { app, service } = addressee<App>(call);
  return app[CALL](service, call);
});

/**
 * An app: what `task-worker` runs and what producers enqueue with. Opens nothing.
 * @param clock for tests that decide the time. @default the machine's
 * @throws ConfigError for a wrong option, NotYetError for one that is not built yet.
 */
export function createApp(options: AppOptions, clock: Clock = systemClock): App {
  return new App(options, clock);
}

/**
 * The methods of a service, to be enqueued, without importing the app: inside a run through the run's app, else
 * through the one that lists the class.
 * @throws NotBoundError, AmbiguousAppError
 */
export function tasks<T extends object>(service: ServiceClass<T>, options?: CallOptions): Stub<T> {
  return (appOf(service) as App).tasks(service, options);
}
