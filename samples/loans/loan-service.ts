import { setImmediate as otherWork } from 'node:timers/promises';
import { RejectTask, ShouldCompute, Task, taskContext } from 'solotask';
import { summarise } from './amortisation.js';
import { loanStore } from './loan-store.js';

/** Keeps the summaries of the loans up to date, by either recipe. */
export class LoanService {
  /**
   * The enqueue recipe: while a recomputation of the loan waits or runs, another one is not even published; the one that
   * runs already is followed by one more.
   */
  @Task({ queue: 'loans', unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce' }, acksLate: true })
  async recompute(loanId: number): Promise<void> {
    await this.#renewSummary(loanId);
  }

  /** The same without that one more: an event that comes during the run can be missed. */
  @Task({ queue: 'loans', unique: 'loan:<loanId>', acksLate: true })
  async recomputeOrDiscard(loanId: number): Promise<void> {
    await this.#renewSummary(loanId);
  }

  /** The worker recipe: every event is published, and a worker drops what a later run covers. */
  @Task({ queue: 'loans', acksLate: true })
  @ShouldCompute({ key: 'loan:<loanId>', onDuplicate: 'coalesce' })
  async report(loanId: number): Promise<void> {
    await this.#renewSummary(loanId);
  }

  /** The same, where the worker drops what comes during a run, missed or not. */
  @Task({ queue: 'loans', acksLate: true })
  @ShouldCompute('loan:<loanId>')
  async reportOrDiscard(loanId: number): Promise<void> {
    await this.#renewSummary(loanId);
  }

  /** No recipe: every event is published and run. */
  @Task({ queue: 'loans', acksLate: true })
  async recomputeAlways(loanId: number): Promise<void> {
    await this.#renewSummary(loanId);
  }

  async #renewSummary(loanId: number): Promise<void> {
    const { id, fence, signal } = taskContext();
    const store = loanStore();
    const run = store.begin(loanId, { id, fence: fence ?? 0 });
    if (run === undefined) throw new RejectTask(`there is no loan ${loanId}`);
    try {
      // Between the read and the write others have their turn, as in every service that awaits something there.
      await otherWork();
      const summary = summarise(run.loan.terms, run.loan.events);
      await otherWork();
      signal.throwIfAborted();
      store.finish(run, summary);
    } catch (error) {
      store.fail(run);
      throw error;
    }
  }
}
