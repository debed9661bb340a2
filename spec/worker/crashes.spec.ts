import { expect } from 'chai';
import { Task, type Delivery, type Frame, type Guard, type Transport } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { Registry } from '../../lib/declarations/registry.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import type { Outgoing } from '../../lib/transport.js';
import { AckPolicy, type AckPolicyParts } from '../../lib/worker/ack-policy.js';
import { Crashes, MOST_CRASHES } from '../../lib/worker/crashes.js';
import { readDelivery, type Run } from '../../lib/worker/run.js';

describe('a message whose bodies end with their processes', () => {
  class Loans {
    @Task()
    async recompute(loanId: number) {
      return loanId;
    }

    @Task({ acksLate: false })
    async once(loanId: number) {
      return loanId;
    }
  }
  const registry = new Registry([Loans]);
  let guard: Guard;
  let crashes: Crashes;
  beforeEach(() => {
    guard = createMemoryGuard({ clock: systemClock });
    crashes = new Crashes({ guard, namespace: 'spec' });
  });

  /** A delivery of a process that lives; what becomes of it is told by the test. */
  function delivery({ redelivered = true, method = 'recompute', headers = {} } = {}): Run {
    const settle = (): 'settled' => 'settled';
    const given: Delivery = {
      queue: 'tasks',
      frame: {
        properties: { contentType: 'application/json' },
        headers: { task: `Loans.${method}`, id: 'a', ...headers },
        body: Buffer.from('[[1], {}, {}]'),
      },
      redelivered,
      stale: false,
      ack: settle,
      requeue: settle,
      flushed: async () => {},
    };
    return readDelivery(given, registry, 'spec');
  }
  const kinds = async (times: number, make = delivery): Promise<unknown[]> => {
    const found = [];
    for (let i = 0; i < times; i++) found.push(await crashes.begin(make()));
    return found;
  };

  it('is a dead letter when more than five were counted', async () => {
    const found = await kinds(MOST_CRASHES + 1);
    expect(found.slice(0, MOST_CRASHES)).to.deep.equal(Array(MOST_CRASHES).fill(undefined));
    expect(found.at(-1)).to.include({ kind: 'dead', code: 'POISON' });
    expect(found.at(-1)).to.have.nested.property('error.data').that.deep.equals({
      task: 'Loans.recompute',
      id: 'a',
      crashes: MOST_CRASHES,
    });
  });

  it('begins at nought again when one ends as it should', async () => {
    await kinds(MOST_CRASHES - 1);
    const run = delivery();
    expect(await crashes.begin(run)).to.equal(undefined);
    await crashes.end(run);
    expect(await kinds(MOST_CRASHES)).to.deep.equal(Array(MOST_CRASHES).fill(undefined));
  });

  it('is not counted, nor looked for in Redis, when it is delivered for the first time', async () => {
    const first = (): Run => delivery({ redelivered: false });
    expect(await kinds(20, first)).to.deep.equal(Array(20).fill(undefined));
    expect(await guard.notes.count('spec:crash:a', 1_000)).to.equal(1);
  });

  it('is counted as well when it comes as a stand-in, or was parked after a redelivery', async () => {
    for (const headers of [{ stand_in: 'x' }, { suspect: true }]) {
      const run = delivery({ redelivered: false, headers });
      await crashes.begin(run);
      expect(run.counted).to.equal(true);
    }
  });

  it('stays suspect when it is parked, and a first delivery does not become so', async () => {
    const published: Frame[] = [];
    const transport = { publish: async ({ frame }: Outgoing) => void published.push(frame) } as Partial<Transport>;
    const policy = new AckPolicy({ transport, clock: systemClock } as AckPolicyParts);
    for (const redelivered of [true, false])
      await policy.settle(delivery({ redelivered }), { kind: 'parked', delay: 1 });
    expect(published.map(({ headers }) => headers['suspect'])).to.deep.equal([true, undefined]);
  });

  it('is not given back by a stop while its parked copy is being published: there would be two', async () => {
    const stages: string[] = [];
    const run = delivery();
    const transport = { publish: async () => void stages.push(run.stage) } as Partial<Transport>;
    await new AckPolicy({ transport, clock: systemClock } as AckPolicyParts).settle(run, { kind: 'parked', delay: 1 });
    expect(stages).to.deep.equal(['settling']);
  });

  it('is never one of at most once: it is acknowledged before its body begins', async () => {
    expect(await kinds(20, () => delivery({ method: 'once' }))).to.deep.equal(Array(20).fill(undefined));
  });

  it('runs when nobody can count', async () => {
    const away = { ...guard.notes, count: async () => undefined };
    crashes = new Crashes({ guard: { notes: away } as Partial<Guard> as Guard, namespace: 'spec' });
    expect(await kinds(20)).to.deep.equal(Array(20).fill(undefined));
  });
});
