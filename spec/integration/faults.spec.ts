import { expect } from 'chai';
import { createApp, type BatchError, RejectTask, Task, taskContext, UnroutableError, type Guard } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';

type Answers = Partial<Record<keyof Guard, (real: () => Promise<unknown>) => Promise<unknown>>>;

/** A real guard, some of whose answers a spec replaces or delays. */
function faulty(answers: Answers): Guard {
  const guard = createMemoryGuard({ clock: systemClock });
  const get = (_: object, name: string): unknown => {
    const method: unknown = Reflect.get(guard, name);
    if (typeof method !== 'function') return method;
    return (...args: unknown[]): unknown => {
      const real = (): Promise<unknown> => Reflect.apply(method, guard, args) as Promise<unknown>;
      const answer = answers[name as keyof Guard];
      return answer === undefined ? real() : answer(real);
    };
  };
  return new Proxy(guard, { get: get as never });
}

describe('when Redis or the broker fails at a chosen moment', () => {
  const broker = (): ReturnType<typeof createMemoryTransport> => createMemoryTransport({ clock: systemClock });

  it('keeps messages where they are while Redis is away, instead of sending them round', async () => {
    const redis = { away: true };
    let bodies = 0;
    let claims = 0;
    let published = 0;
    const locks = faulty({
      claimRunning: (real) => {
        claims++;
        return redis.away ? Promise.resolve({ outcome: 'unavailable', cause: undefined }) : real();
      },
    });
    class Loans {
      @Task({ queue: 'away', unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        bodies++;
        return loanId;
      }
    }
    const transport = broker();
    const publish = transport.publish.bind(transport);
    transport.publish = (outgoing) => {
      published++;
      return publish(outgoing);
    };
    await using app = createApp({ broker: transport, locks, services: [Loans] });
    await Promise.all(Array.from({ length: 50 }, (_, loanId) => app.tasks(Loans).recompute(loanId)));
    await app.worker({ concurrency: 5 }).start();
    await eventually(() => expect(claims).to.be.above(15));
    expect({ published, bodies }).to.deep.equal({ published: 50, bodies: 0 });
    redis.away = false;
    await eventually(() => expect(bodies).to.equal(50));
    expect(published).to.equal(50);
  });

  it('gives a message back, and its key free, when Redis does not tell which arguments are the newest', async () => {
    const redis = { silent: true };
    let asked = 0;
    const locks = faulty({
      newest: (real) => {
        asked++;
        return redis.silent ? Promise.resolve('unknown') : real();
      },
    });
    const rates: number[] = [];
    class Loans {
      @Task({ queue: 'unread', unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce' } })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        return loanId;
      }
    }
    // Eight tries and their pauses take four seconds; nobody needs to wait so long.
    const clock = {
      ...systemClock,
      after: (ms: number, ...rest: [() => void]) => systemClock.after(ms / 40, ...rest),
    };
    await using app = createApp({ broker: broker(), locks, services: [Loans] }, clock);
    let waiting = 0;
    app.on('lock:waiting', () => waiting++);
    await app.tasks(Loans).recompute(1, 1);
    expect(await app.tasks(Loans).recompute(1, 2)).to.include({ status: 'coalesced' });
    await app.worker().start();
    // Nine a round: the third delivery is on its way.
    await eventually(() => expect(asked).to.be.above(18));
    expect(rates).to.deep.equal([]);
    redis.silent = false;
    await eventually(() => expect(rates).to.deep.equal([2]));
    // A key that was not let go of would have been waited for.
    expect(waiting).to.equal(0);
  });

  it('tells concurrent enqueues of one key of an outage together', async () => {
    const locks = faulty({ claimPublishing: async () => ({ outcome: 'unavailable', cause: undefined }) });
    class Loans {
      @Task({ queue: 'outage', unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    await using app = createApp({ broker: broker(), locks, services: [Loans] });
    const asked = Date.now();
    const calls = Array.from({ length: 20 }, () =>
      app
        .tasks(Loans)
        .recompute(1)
        .catch((error: unknown) => error),
    );
    for (const refused of await Promise.all(calls)) expect(refused).to.have.property('code', 'LOCK_UNAVAILABLE');
    expect(Date.now() - asked).to.be.below(3_000);
  });

  // E7
  for (const outcome of ['unknown', 'unavailable'] as const) {
    it(`publishes without the lock while there is still time for it, when Redis is ${outcome} throughout`, async () => {
      const locks = faulty({ claimPublishing: async () => ({ outcome, cause: undefined }) });
      class Loans {
        @Task({ queue: 'hasty', unique: { key: 'loan:<loanId>', onLockError: 'publish' } })
        async recompute(loanId: number) {
          return loanId;
        }
      }
      await using app = createApp({ broker: broker(), locks, services: [Loans], publishTimeout: 3_000 });
      const asked = Date.now();
      const unguarded: boolean[] = [];
      app.on('task:enqueued', (event) => unguarded.push(event.unguarded));
      expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
      expect(unguarded).to.deep.equal([true]);
      expect(Date.now() - asked).to.be.below(2_800);
    });
  }

  it('gives a batch up when none of its calls gets through, instead of trying each for publishTimeout', async () => {
    let claims = 0;
    const claimPublishing = async (): Promise<unknown> => (claims++, { outcome: 'unavailable', cause: undefined });
    const locks = faulty({ claimPublishing });
    class Loans {
      @Task({ queue: 'batch', unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    await using app = createApp({ broker: broker(), locks, services: [Loans], publishTimeout: 300 });
    const asked = Date.now();
    const list = Array.from({ length: 20_000 }, (_, i): [number] => [i]);
    const thrown: unknown = await app.enqueueMany(Loans, 'recompute', list).catch((error: unknown) => error);
    expect(thrown).to.have.property('errors').that.has.length(20_000);
    expect((thrown as BatchError).errors.at(-1)).to.have.property('code', 'LOCK_UNAVAILABLE');
    expect(Date.now() - asked).to.be.below(3_000);
    expect(claims).to.be.above(500);
  });

  it('does not repeat a good run whose release was not answered for a moment', async () => {
    let silent = 2;
    let bodies = 0;
    const locks = faulty({
      release: async (real) => (silent-- > 0 ? 'unknown' : real()),
    });
    class Loans {
      @Task({ queue: 'silent', unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        bodies++;
        return loanId;
      }
    }
    await using app = createApp({ broker: broker(), locks, services: [Loans] });
    let ended = 0;
    app.on('task:succeeded', () => ended++);
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(ended).to.equal(1));
    expect(bodies).to.equal(1);
  });

  it('puts back, never acks, a run whose release nobody answers, and finds it done afterwards', async () => {
    let silent = true;
    let bodies = 0;
    const locks = faulty({ release: async (real) => (silent ? (await real(), 'unknown') : real()) });
    class Loans {
      @Task({ queue: 'unanswered', unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        bodies++;
        return loanId;
      }
    }
    await using app = createApp({ broker: broker(), locks, services: [Loans] });
    const recovered: boolean[] = [];
    app.on('task:succeeded', (event) => recovered.push(event.recovered));
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(recovered).to.deep.equal([true]));
    silent = false;
    expect(bodies).to.equal(1);
  });

  it('says how a run ended whose release nobody answers, when no message is left that could come again', async () => {
    const locks = faulty({ release: async () => 'unknown' });
    class Loans {
      @Task({ queue: 'early', acksLate: false, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        if (loanId === 2) throw new RejectTask('no such loan');
      }
    }
    await using app = createApp({ broker: broker(), locks, services: [Loans] });
    const said: string[] = [];
    for (const event of ['task:succeeded', 'task:dead'] as const)
      app.on(event, ({ key }) => said.push(`${event} ${key}`));
    await app.worker().start();
    await Promise.all([1, 2].map((loanId) => app.tasks(Loans).recompute(loanId)));
    await eventually(() => expect(said.toSorted()).to.deep.equal(['task:dead loan:2', 'task:succeeded loan:1']));
  });

  it('aborts a run at the end of its lease, although a renewal is still on its way', async () => {
    const locks = faulty({ renew: () => new Promise(() => {}) });
    const lost = new Gate();
    let after = Number.NaN;
    class Loans {
      @Task({ queue: 'lease', unique: { key: 'loan:<loanId>', lease: 300 } })
      async recompute(loanId: number) {
        const began = Date.now();
        if (!Number.isNaN(after)) return loanId;
        await new Promise((resolve) => taskContext().signal.addEventListener('abort', resolve, { once: true }));
        after = Date.now() - began;
        lost.open();
        return loanId;
      }
    }
    await using app = createApp({ broker: broker(), locks, services: [Loans] });
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await lost.pass();
    expect(after).to.be.within(250, 900);
  });

  it('aborts bodies at the timeout of a stop, although the broker does not answer the cancel', async () => {
    const transport = createMemoryTransport({ clock: systemClock, broker: new MemoryBroker(systemClock) });
    const consume = transport.consume.bind(transport);
    const answered = new Gate();
    transport.consume = async (...args) => {
      const { cancel, ...subscription } = await consume(...args).then((real) => ({ cancel: () => real.cancel() }));
      return { ...subscription, cancel: () => answered.pass().then(cancel) };
    };
    let aborted = false;
    const began = new Gate();
    class Loans {
      @Task({ queue: 'mute' })
      async recompute(loanId: number) {
        void began.pass();
        await new Promise((resolve) => taskContext().signal.addEventListener('abort', resolve, { once: true }));
        aborted = true;
        return loanId;
      }
    }
    await using app = createApp({ broker: transport, locks: 'memory:', services: [Loans] });
    const worker = app.worker();
    await worker.start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(began.arrivals).to.equal(1));
    const stopping = worker.stop({ timeout: 50 });
    await eventually(() => expect(aborted).to.equal(true), { timeout: 1_000 });
    answered.open();
    expect(await stopping).to.deep.equal({ aborted: 1 });
  });

  it('does not tell a call that came during a publish of a waiting holder whose run had begun before it', async () => {
    const transport = broker();
    const confirmed = new Gate();
    const publish = transport.publish.bind(transport);
    transport.publish = (outgoing) => publish(outgoing).then(() => confirmed.pass());
    const running = new Gate();
    class Loans {
      @Task({ queue: 'late', unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        await running.pass();
        return loanId;
      }
    }
    await using app = createApp({ broker: transport, locks: 'memory:', services: [Loans] });
    await app.worker().start();
    const first = app.tasks(Loans).recompute(1);
    await eventually(() => expect(running.arrivals).to.equal(1));
    const second = app.tasks(Loans).recompute(1);
    confirmed.open();
    const { id } = await first;
    expect((await second).holder).to.deep.equal({ id, phase: 'running' });
    running.open();
  });

  it('keeps a key for a message that takes longer to publish than the publish window', async () => {
    const slow = broker();
    const confirmed = new Gate();
    const publish = slow.publish.bind(slow);
    slow.publish = (outgoing) => confirmed.pass().then(() => publish(outgoing));
    const locks = createMemoryGuard({ clock: systemClock });
    class Loans {
      @Task({ queue: 'slow', unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    await using app = createApp({ broker: slow, locks, services: [Loans], publishTimeout: '20s' });
    const first = app.tasks(Loans).recompute(1);
    await eventually(() => expect(confirmed.arrivals).to.equal(1));
    await using other = createApp({ broker: broker(), locks, services: [Loans], publishTimeout: '7s' });
    const refused = await other
      .tasks(Loans)
      .recompute(1)
      .catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'DUPLICATE_UNDECIDED');
    confirmed.open();
    expect(await first).to.include({ status: 'enqueued' });
  });

  it('drops no message for a holder that is still publishing: it may never come', async () => {
    const shared = new MemoryBroker(systemClock);
    const transport = () => createMemoryTransport({ clock: systemClock, broker: shared });
    let claims = 0;
    const locks = faulty({
      claimRunning: (real) => {
        claims++;
        return real();
      },
    });
    const seen: number[] = [];
    class Loans {
      @Task({ queue: 'evidence', unique: { key: 'loan', ttl: 100 } })
      async recompute(call: number) {
        seen.push(call);
      }
    }
    await using app = createApp({ broker: transport(), locks, services: [Loans] });
    await app.tasks(Loans).recompute(1);
    const late = transport();
    const refused = new Gate();
    late.publish = async () => {
      await refused.pass();
      throw new UnroutableError('nobody takes it');
    };
    await using other = createApp({ broker: late, locks, services: [Loans] });
    // The first message has waited longer than its ttl, so its key is free for another, whose publish fails in the end.
    const failing = await eventually(async () => {
      const call = other.tasks(Loans).recompute(2);
      call.catch(() => {});
      await Promise.race([call, eventually(() => expect(refused.arrivals).to.equal(1), { timeout: 50 })]);
      expect(refused.arrivals).to.equal(1);
      return { call };
    });
    const waiting = new Gate();
    app.on('task:discarded', () => void waiting.pass());
    await app.worker().start();
    await eventually(() => expect(claims).to.be.above(1));
    refused.open();
    expect(await failing.call.catch((error: unknown) => error)).to.have.property('code', 'UNROUTABLE');
    await eventually(() => expect(seen).to.deep.equal([1]));
    expect(waiting.arrivals).to.equal(0);
  });

  it('acks a failed delivery only after its retry was confirmed', async () => {
    const shared = new MemoryBroker(systemClock);
    const transport = createMemoryTransport({ clock: systemClock, broker: shared });
    const publish = transport.publish.bind(transport);
    const confirmed = new Gate();
    transport.publish = async (outgoing) => {
      // The link is lost before anything of the retry was sent.
      if (outgoing.frame.headers['attempt'] === 2 && confirmed.arrivals === 0) await confirmed.pass();
      await publish(outgoing);
    };
    const attempts: number[] = [];
    class Loans {
      @Task({ queue: 'confirmed', retry: { attempts: 2, delay: 10 } })
      async recompute(loanId: number) {
        attempts.push(taskContext().attempt);
        if (attempts.length === 1) throw new Error(`no loan ${loanId}`);
      }
    }
    await using app = createApp({ broker: transport, locks: 'memory:', services: [Loans] });
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(confirmed.arrivals).to.equal(1));
    shared.dropConnections();
    await eventually(() => expect(attempts).to.deep.equal([1, 1]));
    confirmed.open();
  });
});
