import type { Call } from './call.js';
import { ConfigError } from '../errors.js';
import { Receipt, type RolledBack } from './receipt.js';

const ROLLED_BACK: RolledBack = Object.freeze({ status: 'rolledBack' });

/** A checked call that waits for a commit, and the receipt that its caller has meanwhile. */
export class Deferral {
  readonly call: Call;
  readonly receipt: Receipt;
  #settle!: (end: Receipt | RolledBack) => void;
  #fail!: (error: Error) => void;

  #open = true;

  /** `inside`: does the caller run in the transaction that decides about it? */
  constructor(call: Call, inside: () => boolean) {
    this.call = call;
    const settled = new Promise<Receipt | RolledBack>((resolve, reject) => {
      this.#settle = resolve;
      this.#fail = reject;
    });
    // The event tells of a failure; nobody has to ask the receipt.
    settled.catch(() => {});
    const wait = async (): Promise<Receipt | RolledBack> => {
      if (this.#open && inside()) throw endless(call);
      return settled;
    };
    this.receipt = new Receipt({ status: 'deferred', id: call.id, key: call.key, settled: wait });
  }

  /** The transaction has committed, and so the call was enqueued. */
  enqueued(receipt: Receipt): void {
    this.#open = false;
    this.#settle(receipt);
  }

  /** The transaction has committed, and the call could not be enqueued. */
  failed(error: Error): void {
    this.#open = false;
    this.#fail(error);
  }

  /** The transaction, or its savepoint, was rolled back. */
  drop(): void {
    this.#open = false;
    this.#settle(ROLLED_BACK);
  }
}

const endless = ({ task, id }: Call): ConfigError =>
  new ConfigError(
    `${task}: settled() and result() of a deferred receipt wait for the commit, which inside the transaction would wait ` +
      'for them: keep the receipt, and ask it when app.transaction() has resolved',
    { task, id },
  );
