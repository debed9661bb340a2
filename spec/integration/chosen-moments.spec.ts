import { expect } from 'chai';
import { createApp, PublishOutcomeUnknownError, RejectTask, Task, taskContext, type Guard } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';

const clock = systemClock;
type Before = (method: string) => unknown;

/** Memory parts that note what is asked of them; `before` may delay a call of the guard, or answer it. */
function parts(before: Before = () => undefined, failure?: Error) {
  const said: string[] = [];
  const store = new MemoryLocks();
  const real = createMemoryGuard({ clock, store });
  const notes = {
    ...real.notes,
    count: async (key: string, ttl: number): Promise<number | undefined> => {
      await before('count');
      return real.notes.count(key, ttl);
    },
  };
  const get = (_: object, name: string): unknown => {
    if (name === 'notes') return notes;
    const method: unknown = Reflect.get(real, name);
    if (typeof method !== 'function' || name === 'listen' || name === 'close' || name === 'connect')
      return typeof method === 'function' ? method.bind(real) : method;
    return async (...args: unknown[]): Promise<unknown> => {
      said.push(name);
      return (await before(name)) ?? Reflect.apply(method, real, args);
    };
  };
  const broker = createMemoryTransport({ clock, broker: new MemoryBroker(clock) });
  const publish = broker.publish.bind(broker);
  broker.publish = async (outgoing) => {
    said.push(`publish ${outgoing.queue}`);
    if (failure !== undefined) throw failure;
    return publish(outgoing);
  };
  return { said, store, links: { broker, locks: new Proxy(real, { get: get as never }) as Guard } };
}

const RECORD = 'solotask:lock:Loans.recompute:loan:1';

describe('what is done first', () => {
  // Client rule 9
  it('is the dead letter, then the release', async () => {
    class Loans {
      @Task({ unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        throw new RejectTask(`loan ${loanId}`);
      }
    }
    const { said, links } = parts();
    await using app = createApp({ ...links, services: [Loans] });
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(said).to.include('release'));
    const [buried, released] = ['publish tasks.dead', 'release'].map((text) => said.indexOf(text));
    expect(buried).to.be.above(0).and.below(released!);
  });

  // Client rules 6, 9
  it('is the release of a dead letter, then its ack: without an answer the message comes again', async () => {
    class Loans {
      @Task({ unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        throw new RejectTask(`loan ${loanId}`);
      }
    }
    let silent = true;
    const { store, links } = parts((name) => (name === 'release' && silent ? 'unknown' : undefined));
    await using app = createApp({ ...links, services: [Loans] });
    let returned = 0;
    app.on('task:failed', () => returned++);
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(returned).to.equal(1));
    await eventually(() => expect(store.read(RECORD, clock.now())?.stop).to.equal(true));
    silent = false;
  });

  it('is the confirm, then the end of a close', async () => {
    class Loans {
      @Task({ unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const gate = new Gate();
    const { store, links } = parts((name) => (name === 'confirm' ? gate.pass() : undefined));
    const app = createApp({ ...links, services: [Loans] });
    await app.tasks(Loans).recompute(1);
    const closed = app.close();
    setTimeout(() => gate.open(), 50);
    await closed;
    expect(store.read(RECORD, clock.now())?.phase).to.equal('queued');
  });

  // Protocol, abandon: not on an unknown outcome
  it('is nothing, when nobody knows whether the broker has the message: its key waits for it', async () => {
    class Loans {
      @Task({ unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const { said, store, links } = parts(undefined, new PublishOutcomeUnknownError('no confirm came', {}));
    await using app = createApp({ ...links, services: [Loans] });
    await app
      .tasks(Loans)
      .recompute(1)
      .catch(() => undefined);
    expect(said).to.not.include('abandon');
    expect(store.read(RECORD, clock.now())?.phase).to.equal('publishing');
  });

  // Client rule 5: the loop was blocked after the grant, or Redis answered slowly, and what is due comes before the timers.
  it('is a look at the clock, then the body: none begins after its lease has passed', async () => {
    const bodies: number[] = [];
    class Loans {
      @Task({ unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce', lease: 1_000 } })
      async recompute(loanId: number) {
        bodies.push(loanId);
      }
    }
    let ahead = 0;
    // At the first delivery the one, at the second, which counts crashes, the other.
    const slow = ['newest', 'count'];
    const { said, links } = parts((name) => {
      if (name !== slow[0]) return;
      slow.shift();
      ahead += 1_000;
    });
    const later = { ...clock, monotonic: () => clock.monotonic() + ahead };
    await using app = createApp({ ...links, services: [Loans] }, later);
    const lost: string[] = [];
    app.on('lock:lost', ({ id }) => {
      expect(bodies).to.deep.equal([]);
      lost.push(id);
    });
    await app.worker().start();
    const { id } = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(bodies).to.deep.equal([1]));
    expect(lost).to.deep.equal([id, id]);
    expect(said.filter((name) => name === 'claimRunning')).to.have.length(3);
  });

  it('is the last body that a worker may run, then its end, though Redis is slow to count a crash', async () => {
    const bodies: boolean[] = [];
    class Loans {
      @Task()
      async recompute() {
        const { redelivered, signal } = taskContext();
        bodies.push(redelivered);
        if (!redelivered) await new Promise((resolve) => signal.addEventListener('abort', resolve));
      }
    }
    const counting = new Gate();
    const { links } = parts((name) => (name === 'count' ? counting.pass() : undefined));
    await using app = createApp({ ...links, services: [Loans] });
    const first = app.worker();
    await first.start();
    await app.tasks(Loans).recompute();
    await eventually(() => expect(bodies).to.deep.equal([false]));
    await first.stop({ timeout: 0 });
    const last = app.worker({ maxTasks: 1 });
    await last.start();
    await eventually(() => expect([counting.arrivals, last.state]).to.deep.equal([1, 'draining']));
    counting.open();
    await last.drained();
    expect(bodies).to.deep.equal([false, true]);
  });

  // Client rule 8
  it('is the end of the renewals, when a body does not heed its abort', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ unique: { key: 'loan:<loanId>', lease: 1_000 } })
      async recompute(loanId: number) {
        await gate.pass();
        return loanId;
      }
    }
    const { said, links } = parts();
    const app = createApp({ ...links, services: [Loans] });
    let overdue = 0;
    app.on('task:overdue', () => overdue++);
    const worker = app.worker();
    await worker.start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await worker.stop({ timeout: 0 });
    expect(overdue).to.equal(1);
    const before = said.filter((name) => name === 'renew').length;
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(said.filter((name) => name === 'renew')).to.have.length(before);
    gate.open();
    await app.close();
  });
});
