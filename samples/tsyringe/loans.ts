import { Task, tasks } from 'solotask';
import { injectable, singleton } from 'tsyringe';

/** What everybody shares. */
@singleton()
export class Rates {
  readonly current = 3.5;
}

// `Rates` is imported or declared as a value: brought in by `import type` the container could not know it.
@injectable()
export class LoanService {
  readonly #rates: Rates;

  constructor(rates: Rates) {
    this.#rates = rates;
  }

  @Task({ unique: 'loan:<loanId>', queue: 'tsyringe-sample' })
  async recompute(loanId: number): Promise<void> {
    console.log(`loan ${loanId} at ${this.#rates.current} %`);
  }
}

/** A producer: it enqueues without knowing the app, and without an instance of the service. */
@injectable()
export class Payments {
  async paid(loanId: number): Promise<string> {
    const { status } = await tasks(LoanService).recompute(loanId);
    return status;
  }
}
