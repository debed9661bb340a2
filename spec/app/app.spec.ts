import { expect } from 'chai';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createApp, Task, taskContext, tasks, type App, type AppOptions, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { thrownBy } from '../support/declare.js';

const MEMORY = { broker: 'memory:', locks: 'memory:' } as const;

describe('an app', () => {
  const opened: App[] = [];
  const app = (options: Omit<AppOptions, 'broker' | 'locks'>): App => {
    const made = createApp({ ...MEMORY, ...options });
    opened.push(made);
    return made;
  };
  afterEach(() => Promise.all(opened.splice(0).map((each) => each.close())));

  it('asks its container once per class, at the first run, and waits for the answer', async () => {
    const asked: unknown[] = [];
    const seen: string[] = [];
    class Loans {
      constructor(readonly rates: string) {}

      @Task()
      async recompute(loanId: number) {
        seen.push(`${this.rates} ${loanId}`);
      }
    }
    const container = {
      get: async (service: unknown) => {
        asked.push(service);
        return new Loans('from the container');
      },
    };
    const loans = app({ services: [Loans], container });
    await loans.tasks(Loans).recompute(1);
    await loans.tasks(Loans).recompute(2);
    expect(asked).to.deep.equal([]);
    await loans.worker().start();
    await eventually(() => expect(seen).to.have.members(['from the container 1', 'from the container 2']));
    expect(asked).to.deep.equal([Loans]);
  });

  it('runs tasks on the instance that is listed, and reads a function of services at the first use', async () => {
    const seen: string[] = [];
    class Loans {
      constructor(readonly rates: string) {}

      @Task()
      async recompute() {
        seen.push(this.rates);
      }
    }
    let read = 0;
    const services = () => {
      read++;
      return [new Loans('listed')];
    };
    const loans = app({ services });
    expect(read).to.equal(0);
    await loans.worker().start();
    await loans.tasks(Loans).recompute();
    await eventually(() => expect(seen).to.deep.equal(['listed']));
  });

  it('is found by the free tasks(): by the class it lists, and inside a run by the run', async () => {
    const seen: string[] = [];
    class Loans {
      @Task({ queue: 'loans' })
      async recompute(depth: number) {
        seen.push(`${taskContext().task} ${depth}`);
        if (depth === 0) await tasks(Loans).recompute(1);
      }
    }
    expect(thrownBy(() => tasks(Loans))).to.have.property('code', 'NOT_BOUND');
    const first = app({ services: [Loans] });
    await tasks(Loans).recompute(5);
    app({ services: [Loans] });
    expect(thrownBy(() => tasks(Loans))).to.have.property('code', 'AMBIGUOUS_APP');
    await first.worker().start();
    await first.tasks(Loans).recompute(0);
    await eventually(() =>
      expect(seen).to.have.members(['Loans.recompute 5', 'Loans.recompute 0', 'Loans.recompute 1']),
    );
  });

  it('gives stubs that are no promises, and names the nearest task for a method that is none', async () => {
    class Loans {
      @Task()
      async recompute(loanId: number) {
        return loanId;
      }

      async plain() {}
    }
    const stub = app({ services: [Loans] }).tasks(Loans);
    expect(await Promise.resolve(stub)).to.equal(stub);
    const refused = await stub.plain().catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'NOT_A_TASK');
    const misspelt = await (stub as unknown as { recomput(): Promise<unknown> })
      .recomput()
      .catch((error: unknown) => error);
    expect(misspelt).to.have.property('message').that.contains("did you mean 'recompute'");
  });

  it('reports a listener that fails, and goes on', async () => {
    class Loans {
      @Task()
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const loans = app({ services: [Loans] });
    const failures: TaskEvents['listener:failed'][] = [];
    loans.on('listener:failed', (event) => failures.push(event));
    loans.on('task:enqueued', () => {
      throw new Error('full disk');
    });
    expect(await loans.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
    expect(failures).to.have.length(1);
    expect(failures[0]).to.include({ event: 'task:enqueued' }).and.have.nested.property('error.message', 'full disk');
  });

  /** Ends in time when nobody holds what `make` gave any more. */
  async function expectForgotten(make: () => Promise<object>): Promise<void> {
    const made = new WeakRef(await make());
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    await eventually(() => {
      collectGarbage();
      expect(made.deref() === undefined).to.equal(true);
    });
  }

  it('forgets a worker that was stopped, though it be asked to start again', async () => {
    class Loans {
      @Task()
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const loans = app({ services: [Loans] });
    await expectForgotten(async () => {
      const worker = loans.worker();
      await worker.start();
      await worker.stop();
      expect(await worker.start().catch((error: Error) => error.message)).to.contain('make a new one');
      return worker;
    });
  });

  it('refuses after its close what would need its links, and closes twice without harm', async () => {
    class Loans {
      @Task()
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const loans = app({ services: [Loans] });
    await loans.tasks(Loans).recompute(1);
    await Promise.all([loans.close(), loans.close()]);
    const refused = await loans
      .tasks(Loans)
      .recompute(2)
      .catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'CLOSED');
  });

  it('refuses options that are wrong, unknown or not built yet, naming each', async () => {
    class Loans {
      @Task()
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const wrong: [unknown, string, RegExp][] = [
      [{ services: Loans }, 'CONFIG', /\[LoanService\]/],
      [{ services: [Loans], brokr: 'memory:' }, 'CONFIG', /did you mean 'broker'/],
      [{ services: [Loans], results: 'memory:' }, 'CONFIG', /results of createApp .* redis:/],
      [{ services: [Loans], results: ['redis://:secret@host'] }, 'CONFIG', /results of createApp is of type array;/],
      [{ services: [Loans], broker: { url: 'amqp://:secret@host' }, locks: 'memory:' }, 'CONFIG', /a Transport/],
      [{ services: [Loans], publishTimeout: 5 }, 'CONFIG', /at least 100 ms/],
      [{ services: [Loans], namespace: 'a b' }, 'CONFIG', /namespace/],
      [{ services: [Loans], queues: { tasks: { type: 'stream' } } }, 'CONFIG', /'quorum', 'classic'/],
      [{ services: [Loans], container: {} }, 'CONFIG', /get\(Class\)/],
    ];
    for (const [options, code, text] of wrong) {
      const thrown = thrownBy(() => createApp(options as AppOptions));
      expect(thrown).to.have.property('code', code);
      expect(thrown).to.have.property('message').that.matches(text);
    }
    const loans = app({ services: [Loans] });
    const receipt = await loans.tasks(Loans).recompute(1);
    expect(await receipt.result().catch((error: unknown) => error)).to.have.property('code', 'RESULTS_DISABLED');
  });

  it('refuses links that are missing or do not fit, at the first connect, without showing a password', async () => {
    class Loans {
      @Task()
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const pairs: [Partial<AppOptions>, string, RegExp][] = [
      [{ locks: 'memory:' }, 'CONFIG', /AMQP_URL/],
      [{ broker: 'memory:' }, 'CONFIG', /REDIS_URL/],
      [{ broker: 'amqp://u:secret@localhost', locks: 'memory:' }, 'CONFIG', /'memory:'/],
      [{ broker: 'http://u:secret@localhost', locks: 'redis://localhost' }, 'CONFIG', /amqp:\/\//],
      [{ broker: 'memory:', locks: 'http://u:secret@localhost' }, 'CONFIG', /redis:\/\//],
      [{ broker: 'memory:', locks: ['redis://a', 'redis://b'] }, 'CONFIG', /odd/],
    ];
    for (const [links, code, text] of pairs) {
      await using loans = createApp({ ...links, services: [Loans] });
      const refused = await loans.connect().catch((error: unknown) => error);
      expect(refused).to.have.property('code', code);
      expect(refused).to.have.property('message').that.matches(text).and.does.not.contain('secret');
    }
  });
});
