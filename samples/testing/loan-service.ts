import { IsInt, IsPositive } from 'class-validator';
import { RejectTask, Task, taskContext, tasks } from 'solotask';

/** What a customer paid. */
export class Payment {
  @IsInt()
  loanId!: number;

  @IsPositive()
  amount!: number;
}

/** Where the balances come from; a test gives another. */
export interface Bank {
  balance(loanId: number): Promise<number>;
}

export class LoanService {
  readonly summaries = new Map<number, number>();
  readonly #bank: Bank;

  constructor(bank: Bank) {
    this.#bank = bank;
  }

  /** Called by the HTTP handler. It enqueues without knowing the app. */
  async paid(payment: Payment): Promise<void> {
    await tasks(LoanService).book(payment);
    await tasks(LoanService).recompute(payment.loanId);
    await tasks(LoanService, { delay: '7d' }).remind(payment.loanId);
  }

  @Task()
  async book(payment: Payment): Promise<void> {
    taskContext().log.info('booked', payment);
  }

  @Task({ unique: 'loan:<loanId>', retry: { attempts: 3, delay: '1m' } })
  async recompute(loanId: number): Promise<void> {
    const balance = await this.#bank.balance(loanId);
    if (Number.isNaN(balance)) throw new RejectTask(`there is no loan ${loanId}`);
    this.summaries.set(loanId, balance);
  }

  @Task()
  async remind(loanId: number): Promise<void> {
    taskContext().log.info('reminded', { loanId });
  }
}
