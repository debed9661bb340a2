import { ResultsDisabledError } from '../errors.js';
import type { Phase } from '../guard.js';

/** Who holds the key of a dropped duplicate. */
export interface ReceiptHolder {
  /** Task id of the holder. */
  readonly id: string;
  readonly phase: Phase;
}

/**
 * What became of one enqueue. `enqueued`: published and confirmed, `id` is this task. `discarded`: dropped, `id` is
 * the holder's and `holder` says in which phase it was.
 */
export class Receipt {
  readonly status: 'enqueued' | 'discarded';
  readonly id: string;
  /** The unique key; undefined for a plain task. */
  readonly key: string | undefined;
  readonly holder?: ReceiptHolder;

  constructor(key: string | undefined, task: { readonly id: string } | { readonly holder: ReceiptHolder }) {
    this.key = key;
    if ('holder' in task) {
      this.status = 'discarded';
      this.id = task.holder.id;
      this.holder = task.holder;
    } else {
      this.status = 'enqueued';
      this.id = task.id;
    }
    Object.freeze(this);
  }

  /** The result of the run. @throws ResultsDisabledError always: this version keeps no results. */
  result(): Promise<never> {
    return Promise.reject(
      new ResultsDisabledError('results are not kept: the results option of createApp is not built yet', {
        id: this.id,
      }),
    );
  }
}
