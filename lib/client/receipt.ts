import { ResultsDisabledError, RolledBackError } from '../errors.js';
import type { Phase } from '../guard.js';
import type { ResultWish } from '../result-backend.js';

/** Who holds the key of a dropped duplicate. */
export interface ReceiptHolder {
  /** Task id of the holder. */
  readonly id: string;
  readonly phase: Phase;
}

/** Waits for a result. */
export type ResultReader = (wish: ResultWish, options: ResultOptions) => Promise<unknown>;

/** Options of `receipt.result()`. */
export interface ResultOptions {
  /** How long to wait, ms or a string. @default '1m' */
  readonly timeout?: number | string;
}

/** What a deferred enqueue came to when its transaction, or its savepoint, was rolled back: nothing was published. */
export interface RolledBack {
  readonly status: 'rolledBack';
}

/** What a receipt is made of. */
export interface ReceiptParts {
  readonly status: 'enqueued' | 'discarded' | 'coalesced' | 'deferred';
  readonly id: string;
  readonly key: string | undefined;
  readonly holder?: ReceiptHolder | undefined;
  /** What a deferred one comes to. */
  readonly settled?: (() => Promise<Receipt | RolledBack>) | undefined;
  /** Undefined: results are not kept. */
  readonly reader?: ResultReader | undefined;
  /** The result is that of a run with a larger fence: the holder was running, and runs once more. */
  readonly after?: number | undefined;
}

/**
 * What became of one enqueue. `enqueued`: published and confirmed, `id` is this task. `discarded`: dropped, `id` is
 * the holder's and `holder` says in which phase it was. `coalesced`: the holder runs with these arguments, or once more
 * if it was running; `id` and `holder` as for `discarded`. `deferred`: waits for the commit of a transaction, `id` is
 * this task. `T` is what `result()` gives: what the method returns, as JSON carries it.
 */
export class Receipt<T = unknown> {
  readonly status: ReceiptParts['status'];
  readonly id: string;
  /** The unique key; undefined for a plain task. */
  readonly key: string | undefined;
  readonly holder?: ReceiptHolder;
  readonly #settled: (() => Promise<Receipt | RolledBack>) | undefined;
  readonly #reader: ResultReader | undefined;
  readonly #after: number | undefined;

  constructor({ status, id, key, holder, settled, reader, after }: ReceiptParts) {
    this.status = status;
    this.id = id;
    this.key = key;
    if (holder !== undefined) this.holder = holder;
    this.#settled = settled;
    this.#reader = reader;
    this.#after = after;
    Object.freeze(this);
  }

  /**
   * The final receipt: of a deferred one after the commit, of any other itself. Rejects when the enqueue failed after the
   * commit; the event `enqueue:failed` says so too.
   * @throws ConfigError inside its transaction, which would wait for itself: ask after it.
   */
  async settled(): Promise<Receipt<T> | RolledBack> {
    return ((await this.#settled?.()) ?? this) as Receipt<T> | RolledBack;
  }

  /**
   * What the run of `id` returned, as JSON carries it (see `Json`). Of a message that a worker dropped, what its holder
   * returned. Of a deferred receipt, that of the final one.
   * @throws RolledBackError, what `settled()` rejects with, TaskFailedError when the task failed for good, ResultTimeoutError, ResultsDisabledError when the app keeps
   * none, ResultsUnavailableError when the time passed without a Redis to ask, ClosedError as soon as the app is closed,
   * PayloadError when a foreign worker wrote what is no JSON.
   */
  async result(options: ResultOptions = {}): Promise<T> {
    if (this.#settled !== undefined) {
      const final = await this.settled();
      if (final.status !== 'rolledBack') return final.result(options);
      throw new RolledBackError('the transaction was rolled back: the task was not published', { id: this.id });
    }
    if (this.#reader === undefined) {
      const text = 'results are not kept: set results in createApp (results: true keeps them where the locks are)';
      throw new ResultsDisabledError(text, { id: this.id });
    }
    return (await this.#reader({ id: this.id, after: this.#after }, options)) as T;
  }
}
