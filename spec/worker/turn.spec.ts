import { expect } from 'chai';
import { ShouldCompute, Task, type Delivery } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { encode } from '../../lib/celery-protocol.js';
import { Registry } from '../../lib/declarations/registry.js';
import { FenceSource } from '../../lib/fence.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { Signals } from '../../lib/signals.js';
import { Claimer } from '../../lib/worker/claim.js';
import type { Outcome } from '../../lib/worker/outcome.js';
import { readDelivery } from '../../lib/worker/run.js';
import { Seat } from '../../lib/worker/seat.js';
import { Slots } from '../../lib/worker/slots.js';

class Reports {
  @Task()
  @ShouldCompute({ key: 'report', onDuplicate: 'requeue' })
  async report() {}
}

const clock = systemClock;
const draining = new AbortController().signal;
const registry = new Registry([Reports]);

function delivery(id: string, age: number): Delivery {
  const enqueuedAt = clock.now() - age;
  const lock = { key: 'report', mode: 'worker' as const, fence: undefined };
  const rest = { rootId: undefined, parentId: undefined, headers: {}, args: [], kwargs: {}, priority: undefined };
  const frame = encode({ id, task: 'Reports.report', attempt: 1, lock, enqueuedAt, ...rest }, '1@here');
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

describe('the turn of a duplicate under requeue', () => {
  const guard = createMemoryGuard({ clock });
  const claimer = new Claimer({
    guard,
    fences: new FenceSource(clock),
    clock,
    signals: new Signals(),
    draining,
    namespace: 'spec',
  });

  async function claim(id: string, age: number): Promise<Outcome | undefined> {
    const seat = new Seat({ clock, slots: new Slots(1), waitingRoom: { free: 1 }, draining });
    const run = readDelivery(delivery(id, age), registry, 'spec');
    const outcome = await claimer.claim(run, seat);
    run.lease?.stop();
    return outcome;
  }

  // W3
  it('comes after a delay that grows with its age, from a second up to five', async () => {
    expect(await claim('holder', 0)).to.equal(undefined);
    const delays: Record<string, [number, number]> = {
      0: [1_000, 1_000],
      4_000: [1_000, 2_100],
      3_600_000: [2_500, 5_000],
    };
    for (const [age, [least, most]] of Object.entries(delays)) {
      const outcome = await claim(`newcomer ${age}`, Number(age));
      expect(outcome).to.have.property('kind', 'parked');
      expect(outcome).to.have.property('delay').within(least, most);
    }
  });
});
