import type { Call } from './call.js';
import { Receipt, type RolledBack } from './receipt.js';

const ROLLED_BACK: RolledBack = Object.freeze({ status: 'rolledBack' });

/** A checked call that waits for a commit, and the receipt that its caller has meanwhile. */
export class Deferral {
  readonly call: Call;
  readonly receipt: Receipt;
  #settle!: (end: Receipt | RolledBack) => void;
  #fail!: (error: Error) => void;

  constructor(call: Call) {
    this.call = call;
    const settled = new Promise<Receipt | RolledBack>((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    // The event tells of a failure; nobody has to ask the receipt.
    settled.catch(() => {});
    this.receipt = new Receipt({ status: 'deferred', id: call.id, key: call.key, settled });
  }

  /** The transaction has committed, and so the call was enqueued. */
  enqueued(receipt: Receipt): void {
    this.#settle(receipt);
  }

  /** The transaction has committed, and the call could not be enqueued. */
  failed(error: Error): void {
    this.#fail(error);
  }

  /** The transaction, or its savepoint, was rolled back. */
  drop(): void {
    this.#settle(ROLLED_BACK);
  }
}
