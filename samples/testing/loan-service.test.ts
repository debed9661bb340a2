import { expect } from 'chai';
import { DeadTasksError, PayloadError } from 'solotask';
import { testApp, type TestApp } from 'solotask/testing';
import { LoanService, type Bank } from './loan-service.js';

describe('the loan service', () => {
  let balances: (() => Promise<number>)[];
  let loans: LoanService;
  let app: TestApp;

  beforeEach(() => {
    balances = [];
    const bank: Bank = { balance: () => (balances.shift() ?? (async () => 900))() };
    loans = new LoanService(bank);
    app = testApp({ services: [loans] });
  });
  afterEach(() => app.close());

  it('enqueues a booking, a recomputation and a reminder for each payment', async () => {
    await loans.paid({ loanId: 42, amount: 100 });
    expect(app.enqueued(LoanService, 'book')[0]?.args[0].amount).to.equal(100);
    expect(app.enqueued(LoanService, 'recompute')).to.have.length(1);
    expect(app.enqueued(LoanService, 'remind')[0]).to.deep.include({ args: [42], delay: 7 * 86_400_000 });
  });

  it('recomputes once for two payments', async () => {
    await loans.paid({ loanId: 42, amount: 100 });
    await loans.paid({ loanId: 42, amount: 50 });
    expect(app.discarded(LoanService, 'recompute')[0]).to.include({ key: 'loan:42', reason: 'queued' });
    expect(await app.drain({ within: 0 })).to.include({ succeeded: 3, waiting: 2 });
    expect(loans.summaries.get(42)).to.equal(900);
  });

  it('reminds after seven days, and not before', async () => {
    await loans.paid({ loanId: 42, amount: 100 });
    expect(await app.drain({ within: '6d' })).to.include({ succeeded: 2, waiting: 1 });
    expect(await app.drain()).to.include({ succeeded: 1, waiting: 0 });
  });

  it('asks the bank again when it is away', async () => {
    balances = [() => Promise.reject(new Error('the bank is closed')), async () => 800];
    await app.tasks(LoanService).recompute(42);
    expect(await app.drain()).to.include({ retried: 1, succeeded: 1 });
    expect(loans.summaries.get(42)).to.equal(800);
  });

  it('gives up on a loan that is not there', async () => {
    balances = [async () => Number.NaN];
    await app.tasks(LoanService).recompute(42);
    const error: unknown = await app.drain().catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(DeadTasksError).and.have.property('message').that.contains('there is no loan 42');
    expect(app.dead(LoanService, 'recompute')[0]).to.deep.include({ args: [42], attempt: 1, code: 'REJECTED' });
  });

  it('refuses a payment of nothing', async () => {
    const error: unknown = await loans.paid({ loanId: 42, amount: 0 }).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(PayloadError).and.have.nested.property('violations[0].path', 'payment.amount');
    expect(app.enqueued()).to.deep.equal([]);
  });

  describe('inline', () => {
    beforeEach(() => {
      app = testApp(app, { inline: true });
    });

    it('has the summary as soon as the payment is in', async () => {
      await loans.paid({ loanId: 42, amount: 100 });
      expect(loans.summaries.get(42)).to.equal(900);
    });

    it('fails where the enqueue stands', async () => {
      balances = [async () => Number.NaN];
      const error: unknown = await loans.paid({ loanId: 42, amount: 100 }).catch((thrown: unknown) => thrown);
      expect(error).to.have.property('message', 'there is no loan 42');
    });
  });
});
