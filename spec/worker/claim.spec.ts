import { expect } from 'chai';
import { Task, type Delivery } from 'solotask';
import { encode } from '../../lib/celery-protocol.js';
import { systemClock } from '../../lib/clock.js';
import { Registry } from '../../lib/declarations/registry.js';
import { FenceSource } from '../../lib/fence.js';
import type { ClaimAnswer, Guard } from '../../lib/guard.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { Signals } from '../../lib/signals.js';
import { Claimer } from '../../lib/worker/claim.js';
import { readDelivery } from '../../lib/worker/run.js';
import { Seat } from '../../lib/worker/seat.js';
import { Slots } from '../../lib/worker/slots.js';
import { eventually } from '../support/eventually.js';
import { freshKey, publishing, running } from '../support/guards.js';

class Loans {
  @Task({ unique: 'loan:<loanId>' })
  async recompute(loanId: number) {
    return loanId;
  }
}

const registry = new Registry([Loans]);
const draining = new AbortController().signal;
const unknown: ClaimAnswer = { outcome: 'unknown', cause: undefined };

function delivery(key: string, attempt = 1, expires?: number): Delivery {
  const lock = { key, mode: 'enqueue' as const, fence: undefined };
  const rest = { rootId: undefined, parentId: undefined, headers: {}, args: [1], kwargs: {}, priority: undefined };
  const frame = encode({ id: 'b', task: 'Loans.recompute', attempt, expires, lock, enqueuedAt: 0, ...rest }, '1@here');
  const settle = () => 'settled' as const;
  const flushed = async (): Promise<void> => {};
  return { queue: 'tasks', frame, redelivered: false, stale: false, ack: settle, requeue: settle, flushed };
}

describe('a delivery on its way to its key', () => {
  const real = createMemoryGuard({ clock: systemClock });
  let key: string;
  let said: string[];
  let ahead: number;
  const record = (): string => `spec:lock:Loans.recompute:${key}`;

  beforeEach(() => {
    [key, said, ahead] = [freshKey(), [], 0];
  });

  /** `answer` is called after each claim, and answers instead of the guard; `abandon` likewise. */
  function claim(
    answer: (round: number) => ClaimAnswer | undefined,
    abandon?: 'unknown',
    free = 1,
    given = delivery(key),
  ) {
    let round = 0;
    const claimRunning = async (...args: Parameters<Guard['claimRunning']>): Promise<ClaimAnswer> => {
      said.push(`claim ${++round}`);
      const own = await real.claimRunning(...args);
      return answer(round) ?? own;
    };
    const abandoned = async (...args: Parameters<Guard['abandon']>): Promise<'ok' | 'unknown'> => {
      said.push('abandon');
      return abandon ?? real.abandon(...args);
    };
    const guard = Object.create(real, {
      claimRunning: { value: claimRunning },
      abandon: { value: abandoned },
    }) as Guard;
    const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + ahead };
    const claimer = new Claimer({
      guard,
      fences: new FenceSource(clock),
      clock,
      signals: new Signals(),
      draining,
      namespace: 'spec',
    });
    const slots = new Slots(1);
    const seat = new Seat({ clock, slots, waitingRoom: { free }, draining });
    const run = readDelivery(given, registry, 'spec');
    const outcome = Promise.resolve(seat.take()).then(() => claimer.claim(run, seat));
    return { run, outcome, slots };
  }

  const hold = async (owner: string): Promise<void> => {
    expect((await real.claimRunning(record(), running(owner))).outcome).to.equal('granted');
  };

  // Client rule 7
  it('takes no grant that came after its own lease', async () => {
    const { run, outcome } = claim((round) => {
      if (round === 1) ahead += 15_000;
      return undefined;
    });
    expect(await outcome).to.equal(undefined);
    run.lease?.stop();
    expect(said).to.deep.equal(['claim 1', 'claim 2']);
    expect(run.lease?.identity.fence).to.equal((await real.read(record()))?.fence);
  });

  it('is dropped only when its undecided claims were abandoned', async () => {
    await hold('a');
    const { outcome } = claim((round) => (round === 1 ? unknown : undefined));
    expect(await outcome).to.have.property('kind', 'discarded');
    expect(said).to.deep.equal(['claim 1', 'claim 2', 'abandon']);
  });

  it('goes back when nobody acknowledged that', async () => {
    await hold('a');
    const { outcome } = claim((round) => (round === 1 ? unknown : undefined), 'unknown');
    expect(await outcome).to.deep.equal({ kind: 'returned' });
  });

  // Client rule 4
  it('waits for an earlier attempt outside the concurrency', async () => {
    const earlier = {
      ...running('b', { copy: readDelivery(delivery(key), registry, 'spec').head.copy, lease: 1_500 }),
    };
    await real.claimRunning(record(), earlier);
    const { run, outcome, slots } = claim(() => undefined);
    await eventually(() => expect(said).to.include('claim 1'));
    await slots.take();
    await real.abandon(record(), earlier);
    slots.give();
    expect(await outcome).to.equal(undefined);
    run.lease?.stop();
  });

  it('is parked with the broker when too many wait already', async () => {
    await real.claimRunning(record(), running('b', { copy: readDelivery(delivery(key), registry, 'spec').head.copy }));
    expect(await claim(() => undefined, undefined, 0).outcome).to.have.property('kind', 'parked');
  });

  it('has a key also when it cannot be read, so that its end frees it', () => {
    const { frame, ...rest } = delivery(key);
    const run = readDelivery({ ...rest, frame: { ...frame, body: Buffer.from('[[1') } }, registry, 'spec');
    expect(run.problem).to.be.instanceOf(Error);
    expect(run.record).to.equal(record());
  });

  it('lets no holder expire on which it leans after its own run began', async () => {
    const holder = publishing('a', { expires: 5e12 });
    await real.claimPublishing(record(), holder);
    await real.confirm(record(), holder, 60_000);
    await claim(() => undefined, undefined, 1, delivery(key, 2, 6e12)).outcome;
    expect((await real.read(record()))?.expires).to.equal(0);
  });
});
