import { AsyncLocalStorage } from 'node:async_hooks';
import type { Clock } from '../clock.js';
import type { Signals } from '../signals.js';
import { OUTAGES, submitAll, type BatchError } from './batch.js';
import type { Call } from './call.js';
import { Deferral } from './deferral.js';
import type { Receipt } from './receipt.js';

/** What runs inside a transaction. `A` are the arguments that its runner gives to it. */
export type TransactionBody<A extends unknown[], T> = (...args: A) => T | PromiseLike<T>;

/** Begins a transaction, calls the body in it, and ends as the transaction does: resolved is committed. */
export type TransactionRunner<A extends unknown[], T, R> = (body: (...args: A) => Promise<T>) => R | PromiseLike<R>;

/** What was enqueued by one call: a task, or a batch of them. */
interface Group {
  /** Rises with each call, whichever savepoint it was made in. */
  readonly order: number;
  readonly deferrals: readonly Deferral[];
}

/** One transaction, or a savepoint inside one. */
class Transaction {
  readonly #parent: Transaction | undefined;
  #state: 'open' | 'committed' | 'rolledBack' = 'open';
  #groups: Group[] = [];

  constructor(parent: Transaction | undefined) {
    this.#parent = parent;
  }

  /** This one, or the nearest around it: an async context can outlive its savepoint. Undefined when all have ended. */
  get open(): Transaction | undefined {
    return this.#state === 'open' ? this : this.#parent?.open;
  }

  /** The last of those around it, or itself, that decides; undefined when all have ended. */
  get decisive(): Transaction | undefined {
    const { open } = this;
    return open === undefined ? undefined : (open.#parent?.decisive ?? open);
  }

  add(group: Group): void {
    this.#groups.push(group);
  }

  /** Forgets what was enqueued so far. */
  drop(): void {
    for (const { deferrals } of this.#groups) for (const deferral of deferrals) deferral.drop();
    this.#groups = [];
  }

  rollBack(): void {
    this.#state = 'rolledBack';
    this.drop();
  }

  /** Gives what is to be published now: nothing while a transaction around this one is open. */
  commit(): readonly Group[] {
    this.#state = 'committed';
    return this.#parent?.adopt(this.#groups) ?? this.#groups;
  }

  /** A savepoint that nobody waited for can end after its transaction, and shares its fate then. */
  adopt(groups: readonly Group[]): readonly Group[] {
    if (this.#state === 'committed') return this.#parent?.adopt(groups) ?? groups;
    this.#groups = [...this.#groups, ...groups].toSorted((one, other) => one.order - other.order);
    if (this.#state === 'rolledBack') this.drop();
    return [];
  }
}

/** In which transactions, of which apps, code runs. */
interface Context {
  readonly owner: Transactions;
  readonly transaction: Transaction;
  readonly outer: Context | undefined;
}

/** One for all apps: Node pays for each storage with every promise of the process, for good. */
const contexts = new AsyncLocalStorage<Context | undefined>();

/** What transactions work with. */
export interface TransactionParts {
  readonly clock: Clock;
  readonly signals: Signals;
  /** Enqueues a call whose transaction has committed. */
  readonly submit: (call: Call) => Promise<Receipt>;
}

/** The transactions of one app: which of them code runs in, and what becomes of the tasks that it enqueues. */
export class Transactions {
  readonly #parts: TransactionParts;
  readonly #running = new Set<Promise<unknown>>();
  #order = 0;

  constructor(parts: TransactionParts) {
    this.#parts = parts;
  }

  /**
   * Runs `body` by `runner`, then publishes what it enqueued, unless it runs inside another transaction: then that one
   * does. Resolves, once the fate of each is known, to what the runner gave; rejects as the runner does, and only then.
   */
  run<A extends unknown[], T, R>(runner: TransactionRunner<A, T, R>, body: TransactionBody<A, T>): Promise<R> {
    const running = this.#run(runner, body);
    this.#running.add(running);
    const forget = (): void => void this.#running.delete(running);
    running.then(forget, forget);
    return running;
  }

  async #run<A extends unknown[], T, R>(runner: TransactionRunner<A, T, R>, body: TransactionBody<A, T>): Promise<R> {
    const transaction = new Transaction(this.#open);
    const value = await this.#attempt(transaction, runner, body);
    await this.#publish(transaction.commit());
    return value;
  }

  async #attempt<A extends unknown[], T, R>(
    transaction: Transaction,
    runner: TransactionRunner<A, T, R>,
    body: TransactionBody<A, T>,
  ): Promise<R> {
    const inside = async (...args: A): Promise<T> => {
      // A runner that calls the body again (the commit failed, say) has rolled back what came before.
      transaction.drop();
      try {
        const context = { owner: this, transaction, outer: contexts.getStore() };
        return await contexts.run(context, () => body(...args));
      } catch (error) {
        transaction.drop();
        throw error;
      }
    };
    try {
      return await runner(inside);
    } catch (error) {
      transaction.rollBack();
      throw error;
    }
  }

  /** Keeps the calls of one enqueue until the commit, and gives their receipts; undefined outside a transaction. */
  defer(calls: readonly Call[]): ReadonlyMap<Call, Receipt> | undefined {
    const transaction = this.#open;
    if (transaction === undefined || calls.length === 0) return undefined;
    const inside = (): boolean => this.#open !== undefined && this.#open.decisive === transaction.decisive;
    const deferrals = calls.map((call) => new Deferral(call, inside));
    transaction.add({ order: this.#order++, deferrals });
    return new Map(deferrals.map(({ call, receipt }) => [call, receipt]));
  }

  /** Whether this code runs in a transaction, of any app, or in a context that has outlived one. */
  get inside(): boolean {
    return contexts.getStore() !== undefined;
  }

  /** Runs `work` in no transaction: a link that it opens, or a task that it starts, must not belong to one for ever. */
  outside<T>(work: () => T): T {
    return contexts.getStore() === undefined ? work() : contexts.run(undefined, work);
  }

  /** Waits, at most `patience` ms, until every transaction has ended and published; from inside one it does not. */
  async idle(patience: number): Promise<void> {
    if (this.#running.size === 0 || this.#open !== undefined) return;
    await new Promise<void>((resolve) => {
      const timer = this.#parts.clock.after(patience, resolve);
      void Promise.allSettled(this.#running).then(() => (timer.cancel(), resolve()));
    });
  }

  get #open(): Transaction | undefined {
    for (let context = contexts.getStore(); context !== undefined; context = context.outer) {
      if (context.owner === this) return context.transaction.open;
    }
    return undefined;
  }

  /** One after the other, in the order of the calls; once broker or locks are away the others are tried side by side. */
  async #publish(groups: readonly Group[]): Promise<void> {
    for (const [place, { deferrals }] of groups.entries()) {
      if (await this.#submit(deferrals)) continue;
      // To wait for each of many in turn would hold up the caller for minutes.
      await this.#submit(groups.slice(place + 1).flatMap((group) => group.deferrals));
      return;
    }
  }

  /** Resolves to whether somebody could be reached. What went wrong is told: the transaction does not fail any more. */
  async #submit(deferrals: readonly Deferral[]): Promise<boolean> {
    const calls = deferrals.map(({ call }) => call);
    const submitting = this.outside(() => submitAll(calls, this.#parts.submit));
    const { receipts, errors } = await submitting.then(
      (enqueued) => ({ receipts: enqueued, errors: [] }),
      (error: BatchError) => error,
    );
    for (const [place, deferral] of deferrals.entries()) {
      const [receipt, error] = [receipts[place], errors[place]];
      if (receipt !== undefined) deferral.enqueued(receipt);
      if (error !== undefined) this.#failed(deferral, error);
    }
    return !errors.some((error) => OUTAGES.some((kind) => error instanceof kind));
  }

  #failed(deferral: Deferral, error: Error): void {
    const { task, id, key, queue } = deferral.call;
    deferral.failed(error);
    this.#parts.signals.emit('enqueue:failed', { task, id, key, queue, error });
  }
}
