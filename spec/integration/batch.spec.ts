import { expect } from 'chai';
import { BatchError, Task, type Receipt } from 'solotask';
import { eventually } from '../support/eventually.js';
import { onEveryStage } from '../support/stage.js';

async function batchError(call: Promise<unknown>): Promise<BatchError> {
  const thrown = await call.catch((error: unknown) => error);
  expect(thrown).to.be.instanceOf(BatchError);
  return thrown as BatchError;
}

onEveryStage('enqueueing many at once', (stage) => {
  // E8
  it('publishes one of equal keys, and discards the others with its id', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const held = await app.tasks(Loans).recompute(3);
    const receipts = await app.enqueueMany(Loans, 'recompute', [[1], [2], [1], [3], [1]]);
    expect(receipts.map(({ status }) => status)).to.deep.equal([
      'enqueued',
      'enqueued',
      'discarded',
      'discarded',
      'discarded',
    ]);
    const [first] = receipts;
    expect([receipts[2]?.id, receipts[4]?.id]).to.deep.equal([first?.id, first?.id]);
    expect(receipts[2]?.holder).to.deep.equal({ id: first?.id, phase: 'queued' });
    expect(receipts[3]?.id).to.equal(held.id);
    await eventually(async () => expect(await stage.ready()).to.equal(3));
    expect(await app.enqueueMany(Loans, 'recompute', [])).to.deep.equal([]);
  });

  // E8
  it('publishes one of equal keys that lie thousands apart, although the first has run by then', async () => {
    const seen: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        seen.push(loanId);
      }
    }
    const app = stage.app([Loans]);
    await app.worker({ concurrency: 50 }).start();
    const list = Array.from({ length: 3_000 }, (_, i): [number] => [i % 2_000]);
    const receipts = await app.enqueueMany(Loans, 'recompute', list);
    expect(receipts.filter(({ status }) => status === 'enqueued')).to.have.length(2_000);
    for (let i = 0; i < 1_000; i++) expect(receipts[2_000 + i]?.id).to.equal(receipts[i]?.id);
    await eventually(() => expect(seen).to.have.length(2_000), { timeout: 20_000 });
  });

  it('tells of a hole in the list by its place', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const list: [number][] = [[1], [2]];
    list[3] = [4];
    const error = await batchError(stage.app([Loans]).enqueueMany(Loans, 'recompute', list));
    expect(error.message).to.match(/^1 of 4 enqueues failed; the first, \[2\]: .*an array of arguments/);
  });

  it('tells of each failure by its place, and lets the others through', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', onDuplicate: 'reject' } })
      async recompute(loanId: number, note?: unknown) {
        return [loanId, note];
      }
    }
    const app = stage.app([Loans]);
    const list = [[1], [null as never], [2, new Map()], 5 as never, [1], [4]] as [number, unknown][];
    const error = await batchError(app.enqueueMany(Loans, 'recompute', list, { priority: 2 }));
    expect(error.code).to.equal('BATCH');
    expect(error.message).to.match(/^4 of 6 enqueues failed; the first, \[1\]: .*loanId/);
    const codes = error.errors.map((each) => (each as { code?: string } | undefined)?.code);
    expect(codes).to.deep.equal([undefined, 'KEY', 'PAYLOAD', 'CONFIG', 'DUPLICATE', undefined]);
    expect(error.receipts.map((receipt) => receipt?.status)).to.deep.equal([
      'enqueued',
      undefined,
      undefined,
      undefined,
      undefined,
      'enqueued',
    ]);
    expect(error.errors[4]).to.have.nested.property('data.holder', error.receipts[0]?.id);
    await eventually(async () => expect(await stage.ready()).to.equal(2));
  });

  it('takes ten thousand, of plain tasks too, and gives a receipt for each', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }

      @Task({ queue: stage.queue })
      async plain(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans], { publishTimeout: 40_000 });
    const list = Array.from({ length: 10_000 }, (_, i): [number] => [i]);
    const unique: Receipt[] = await app.enqueueMany(Loans, 'recompute', list);
    expect(unique.every(({ status }, i) => status === 'enqueued' && unique[i]?.key === `loan:${i}`)).to.equal(true);
    const plain = await app.enqueueMany(Loans, 'plain', list);
    expect(new Set(plain.map(({ id }) => id)).size).to.equal(10_000);
    await eventually(async () => expect(await stage.ready()).to.equal(20_000));
    // Twenty thousand messages take a slow machine its time.
  }).timeout(60_000);

  it('fails soon as a whole when nobody takes its messages', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    await app.tasks(Loans).recompute(-1);
    await stage.removeQueue();
    const list = Array.from({ length: 1_200 }, (_, i): [number] => [i]);
    const error = await batchError(app.enqueueMany(Loans, 'recompute', list));
    expect(error.errors.every((each) => (each as { code?: string }).code === 'UNROUTABLE')).to.equal(true);
    await stage.restoreQueue();
    const receipts = await app.enqueueMany(Loans, 'recompute', list);
    expect(receipts.every(({ status }) => status === 'enqueued')).to.equal(true);
  });
});
