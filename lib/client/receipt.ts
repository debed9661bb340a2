import { ResultsDisabledError } from '../errors.js';
import type { Phase } from '../guard.js';

/** Who holds the key of a dropped duplicate. */
export interface ReceiptHolder {
  /** Task id of the holder. */
  readonly id: string;
  readonly phase: Phase;
}

/** Gets the result of a receipt's run. */
export type ResultReader = (receipt: Receipt, options: ResultOptions) => Promise<unknown>;

/** Options of `receipt.result()`. */
export interface ResultOptions {
  /** How long to wait, ms or a string. @default '1m' */
  readonly timeout?: number | string;
}

/** What a receipt is made of. */
export interface ReceiptParts {
  readonly status: 'enqueued' | 'discarded' | 'coalesced' | 'deferred';
  readonly id: string;
  readonly key: string | undefined;
  readonly holder?: ReceiptHolder | undefined;
  /** Undefined: results are not kept. */
  readonly reader?: ResultReader | undefined;
}

/**
 * What became of one enqueue. `enqueued`: published and confirmed, `id` is this task. `discarded`: dropped, `id` is
 * the holder's and `holder` says in which phase it was. `coalesced`: the holder runs with these arguments, or once more
 * if it was running; `id` and `holder` as for `discarded`. `T` is what the method returns.
 */
export class Receipt<T = unknown> {
  readonly status: ReceiptParts['status'];
  readonly id: string;
  /** The unique key; undefined for a plain task. */
  readonly key: string | undefined;
  readonly holder?: ReceiptHolder;
  readonly #reader: ResultReader | undefined;

  constructor({ status, id, key, holder, reader }: ReceiptParts) {
    this.status = status;
    this.id = id;
    this.key = key;
    if (holder !== undefined) this.holder = holder;
    this.#reader = reader;
    Object.freeze(this);
  }

  /** The result of the run. @throws ResultsDisabledError when the app keeps none. */
  async result(options: ResultOptions = {}): Promise<T> {
    if (this.#reader === undefined) {
      throw new ResultsDisabledError('results are not kept: the results option of createApp is not built yet', {
        id: this.id,
      });
    }
    return (await this.#reader(this as Receipt, options)) as T;
  }
}
