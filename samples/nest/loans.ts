import { Injectable, Logger } from '@nestjs/common';
import { Task, tasks } from 'solotask';

@Injectable()
export class RateProvider {
  readonly current = 3.5;
}

// `RateProvider` must be imported as a value: of an `import type` the metadata says `Function`, and Nest finds nothing.
@Injectable()
export class LoanService {
  readonly #logger = new Logger(LoanService.name);
  readonly #rates: RateProvider;

  constructor(rates: RateProvider) {
    this.#rates = rates;
  }

  @Task({ unique: 'loan:<loanId>', queue: 'nest-sample' })
  async recompute(loanId: number): Promise<void> {
    this.#logger.log(`loan ${loanId} at ${this.#rates.current} %`);
  }
}

/** A producer, such as a controller: it enqueues without knowing the app. */
@Injectable()
export class PaymentService {
  async paid(loanId: number): Promise<string> {
    const { status } = await tasks(LoanService).recompute(loanId);
    return status;
  }
}
