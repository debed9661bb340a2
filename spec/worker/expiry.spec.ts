import { expect } from 'chai';
import { Task, type Delivery } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { Registry } from '../../lib/declarations/registry.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { expired } from '../../lib/worker/expiry.js';
import { readDelivery } from '../../lib/worker/run.js';

describe('a message whose time is over, and whose key has no record', () => {
  class Loans {
    @Task({ unique: 'loan:<loanId>' })
    async recompute(loanId: number) {
      return loanId;
    }
  }

  async function judged(headers: object, redelivered = false) {
    const lock = { lock_key: 'loan:1', lock_mode: 'enqueue', lock_fence: '1800000000000000' };
    const past = new Date(systemClock.now() - 1_000).toISOString();
    const delivery: Delivery = {
      queue: 'tasks',
      frame: {
        properties: { contentType: 'application/json' },
        headers: { task: 'Loans.recompute', id: 'a', expires: past, ...lock, ...headers },
        body: Buffer.from('[[1], {}, {}]'),
      },
      redelivered,
      stale: false,
      ack: () => 'settled',
      requeue: () => 'settled',
      flushed: async () => {},
    };
    const parts = { guard: createMemoryGuard({ clock: systemClock }), clock: systemClock };
    return (await expired(readDelivery(delivery, new Registry([Loans]), 'spec'), parts))?.kind;
  }

  it('has expired', async () => {
    expect(await judged({})).to.equal('expired');
  });

  it('runs when it may have begun before, for others may have leaned on that: delivered again, or parked since', async () => {
    expect(await judged({}, true)).to.equal(undefined);
    expect(await judged({ suspect: true })).to.equal(undefined);
  });
});
