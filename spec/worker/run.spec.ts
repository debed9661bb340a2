import { expect } from 'chai';
import { Task, type Delivery } from 'solotask';
import { encode, republish } from '../../lib/celery-protocol.js';
import { systemClock } from '../../lib/clock.js';
import { Registry } from '../../lib/declarations/registry.js';
import { FenceSource } from '../../lib/fence.js';
import type { Frame } from '../../lib/message.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { Signals } from '../../lib/signals.js';
import { Claimer } from '../../lib/worker/claim.js';
import { readDelivery } from '../../lib/worker/run.js';
import { Seat } from '../../lib/worker/seat.js';
import { Slots } from '../../lib/worker/slots.js';
import { fences, freshKey, running } from '../support/guards.js';

class Loans {
  @Task({ unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce' } })
  async recompute(loanId: number, version: number) {
    return loanId + version;
  }
}

const clock = systemClock;
const draining = new AbortController().signal;
const registry = new Registry([Loans]);

function delivery(frame: Frame): Delivery {
  const settle = () => 'settled' as const;
  return {
    queue: 'tasks',
    frame,
    redelivered: false,
    stale: false,
    ack: settle,
    requeue: settle,
    flushed: async () => {},
  };
}

describe('a run that takes the newest arguments of its key', () => {
  const read = (frame: Frame) => readDelivery(delivery(frame), registry, 'spec');

  function message(key: string, fence: number | undefined): Frame {
    const lock = { key, mode: 'enqueue' as const, fence };
    const rest = { rootId: undefined, parentId: undefined, headers: {}, kwargs: {}, priority: undefined };
    return encode(
      { id: 'b', task: 'Loans.recompute', attempt: 1, lock, enqueuedAt: 0, args: [1, 1], ...rest },
      '1@here',
    );
  }

  it('calls the body with them, and so does its copy, in their place in the order', () => {
    const run = read(message('loan:1', 10));
    run.take({ seq: 20, args: '[[1, 2], {}]' });
    expect(run.args).to.deep.equal([1, 2]);
    const copy = read(republish(run.frame, { attempt: 2, lock: run.lock! }));
    expect(copy.args).to.deep.equal([1, 2]);
    expect(copy.lock).to.deep.equal({ key: 'loan:1', mode: 'enqueue', fence: 20 });
  });

  it('has a signal of its own each time, which aborts with the delivery', () => {
    const run = read(message('loan:1', 10));
    const { signal } = run;
    run.again();
    expect(run.signal).not.to.equal(signal);
    run.abort(new Error('lost'));
    expect(run.signal.aborted).to.equal(true);
    run.again();
    expect(run.signal.aborted).to.equal(true);
  });

  // done, args: of onLockError publish, or of a foreign producer
  it('is not done by a run of others with them, when its message has no sequence', async () => {
    const guard = createMemoryGuard({ clock });
    const key = freshKey();
    const run = read(message(key, undefined));
    const seq = fences.next();
    run.take({ seq, args: '[[1, 2], {}]' });
    const other = running('other', { seq, strategy: 'coalesce' });
    await guard.claimRunning(run.record!, other);
    expect(await guard.release(run.record!, other, { seq, dead: false })).to.equal('ok');
    const claimer = new Claimer({
      guard,
      fences: new FenceSource(clock),
      clock,
      signals: new Signals(),
      draining,
      namespace: 'spec',
    });
    const seat = new Seat({ clock, slots: new Slots(1), waitingRoom: { free: 1 }, draining });
    const copy = read(republish(run.frame, { attempt: 2, lock: run.lock! }));
    expect(await claimer.claim(copy, seat)).to.equal(undefined);
    copy.lease?.stop();
  });
});
