import { expect } from 'chai';
import { ShouldCompute, Task, taskContext } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { uniqueName } from '../support/servers.js';
import { onEveryStage } from '../support/stage.js';

/** Bodies that are let go one after the other, or by an abort. */
class Steps {
  readonly names: string[] = [];
  readonly #waiting: (() => void)[] = [];

  async at(name: string): Promise<void> {
    this.names.push(name);
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      taskContext().signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  next(): void {
    this.#waiting.shift()?.();
  }
}

onEveryStage('several queues of one worker', (stage) => {
  it('take turns: a message of one waits for no more than a turn behind the backlog of the other', async () => {
    const steps = new Steps();
    const trickle = uniqueName('trickle');
    class Loans {
      @Task({ queue: stage.queue })
      async bulk(name: string) {
        await steps.at(name);
      }
      @Task({ queue: trickle })
      async urgent(name: string) {
        await steps.at(name);
      }
    }
    const app = stage.app([Loans]);
    for (let i = 0; i < 60; i++) await app.tasks(Loans).bulk('bulk');
    const worker = app.worker({ concurrency: 1, prefetch: 50 });
    await worker.start();
    await eventually(async () => expect(await stage.ready()).to.equal(10));
    const waits: number[] = [];
    for (const name of ['a', 'b', 'c']) {
      await app.tasks(Loans).urgent(name);
      await eventually(async () => expect(await stage.ready(trickle)).to.equal(0));
      const before = steps.names.length;
      await eventually(() => {
        if (!steps.names.includes(name)) steps.next();
        expect(steps.names).to.include(name);
      });
      waits.push(steps.names.indexOf(name) - before);
    }
    for (const wait of waits) expect(wait).to.be.at.most(2);
    await worker.stop({ timeout: 0 });
    await stage.removeQueue(trickle);
  });

  it('give it ten messages more each than it runs bodies, or its prefetch; the rest is for other workers', async () => {
    const gate = new Gate();
    const other = uniqueName('other');
    class Loans {
      @Task({ queue: stage.queue })
      async one() {
        await gate.pass();
      }
      @Task({ queue: other })
      async other() {
        await gate.pass();
      }
    }
    const app = stage.app([Loans]);
    await Promise.all(Array.from({ length: 30 }, () => [app.tasks(Loans).one(), app.tasks(Loans).other()]).flat());
    const ready = (): Promise<number[]> => Promise.all([stage.ready(), stage.ready(other)]);
    await app.worker({ concurrency: 2 }).start();
    await eventually(async () => expect(await ready()).to.deep.equal([18, 18]));
    await app.worker({ concurrency: 3, prefetch: 4 }).start();
    await eventually(async () => expect(await ready()).to.deep.equal([14, 14]));
    await eventually(() => expect(gate.arrivals).to.equal(5));
    const ended = stage.count(app, 'task:succeeded');
    gate.open();
    await eventually(() => expect(ended.total).to.equal(60));
    await stage.removeQueue(other);
  });

  it('run as many bodies as each has a number, whatever the others do', async () => {
    const gate = new Gate();
    const [slow, rest] = [uniqueName('slow'), uniqueName('rest')];
    const running = { fast: 0, slow: 0, rest: 0 };
    const most = { ...running };
    const body = async (name: keyof typeof running, wait: Promise<void> | undefined): Promise<void> => {
      most[name] = Math.max(most[name], ++running[name]);
      await (wait ?? new Promise((resolve) => setTimeout(resolve, 5)));
      running[name]--;
    };
    class Loans {
      @Task({ queue: stage.queue })
      async fast() {
        await body('fast', undefined);
      }
      @Task({ queue: slow })
      async slow() {
        await body('slow', gate.pass());
      }
      @Task({ queue: rest })
      async rest() {
        await body('rest', undefined);
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    const worker = app.worker({ queues: { [stage.queue]: 3, [slow]: 2, [rest]: true }, concurrency: 1 });
    await worker.start();
    await Promise.all(Array.from({ length: 20 }, () => app.tasks(Loans).slow()));
    await eventually(() => expect(gate.arrivals).to.equal(2));
    const others = Array.from({ length: 20 }, () => [app.tasks(Loans).fast(), app.tasks(Loans).rest()]);
    await Promise.all(others.flat());
    await eventually(() => expect(ended.total).to.equal(40));
    expect([gate.arrivals, most]).to.deep.equal([2, { fast: 3, slow: 2, rest: 1 }]);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(60));
    expect(most.slow).to.equal(2);
    await worker.stop();
    for (const queue of [slow, rest]) await stage.removeQueue(queue);
  });

  it('wait for locks each in a room of its own', async () => {
    const gate = new Gate();
    const other = uniqueName('other');
    const unique = { key: 'report:<id>', lease: '2s' };
    class Reports {
      @Task({ queue: stage.queue, unique })
      async one(id: number) {
        await gate.pass();
        return id;
      }
      @Task({ queue: other, unique })
      async other(id: number) {
        await gate.pass();
        return id;
      }
    }
    const app = stage.app([Reports]);
    const first = app.worker();
    await first.start();
    await app.tasks(Reports).one(1);
    await app.tasks(Reports).other(1);
    await eventually(() => expect(gate.arrivals).to.equal(2));
    // The bodies ignore it: their messages go back, and whoever gets those waits until the leases have ended.
    await first.stop({ timeout: 0 });
    const published: string[] = [];
    const next = stage.app([Reports], { onPublish: (queue) => published.push(queue) });
    const [waiting, ended] = [stage.count(next, 'lock:waiting'), stage.count(next, 'task:succeeded')];
    const worker = next.worker({ concurrency: 1, prefetch: 2 });
    await worker.start();
    await eventually(() => expect(waiting.total).to.equal(2));
    gate.open();
    await eventually(() => expect(ended.total).to.equal(2));
    expect(published).to.deep.equal([]);
    await worker.stop();
    await stage.removeQueue(other);
  });
});

onEveryStage('a worker that shall end by itself', (stage) => {
  it('is drained when nothing is ready and nothing in hand; what falls due later is not waited for', async () => {
    const ran: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, retry: { attempts: 2, delay: '1h' } })
      async recompute(loanId: number) {
        if (loanId === 0) throw new Error('in an hour');
        await new Promise((resolve) => setTimeout(resolve, loanId));
        if (ran.push(loanId) === 30) await stage.app([Loans]).tasks(Loans).recompute(100);
      }
    }
    const app = stage.app([Loans]);
    for (let i = 0; i < 30; i++) await app.tasks(Loans).recompute(i === 0 ? 0 : 20);
    await app.tasks(Loans).recompute(300);
    await app.tasks(Loans, { delay: '1h' }).recompute(1);
    await app.tasks(Loans, { delay: 500 }).recompute(2);
    const worker = app.worker({ concurrency: 4 });
    await worker.start();
    await worker.drained();
    expect(ran).to.have.length(32).and.include.members([2, 100, 300]);
    expect([worker.running, await stage.ready()]).to.deep.equal([0, 0]);
    expect(await worker.stop()).to.deep.equal({ aborted: 0 });
  });

  it('brings what fell due while no worker was there, before it is drained', async () => {
    const ran: number[] = [];
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(loanId: number) {
        ran.push(loanId);
      }
    }
    const app = stage.app([Loans]);
    const due = Date.now() + 1_000;
    await Promise.all(Array.from({ length: 50 }, (_, i) => app.tasks(Loans, { at: new Date(due) }).recompute(i)));
    await eventually(() => expect(Date.now()).to.be.above(due + 500));
    const worker = app.worker();
    await worker.start();
    await worker.drained();
    expect(ran).to.have.length(50);
  });

  it('is drained after quiet when what ran has ended, and gives back the rest', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(loanId: number) {
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    for (const loanId of [1, 2, 3]) await app.tasks(Loans).recompute(loanId);
    const worker = app.worker({ concurrency: 1 });
    await worker.start();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    let over = false;
    const drained = worker.drained().then(() => (over = true));
    await worker.quiet();
    expect(over).to.equal(false);
    gate.open();
    await drained;
    await eventually(async () => expect(await stage.ready()).to.equal(2));
  });

  it('begins no more bodies than maxTasks, retries and re-runs included, then goes quiet and finishes them', async () => {
    const gate = new Gate();
    let begun = 0;
    class Loans {
      @Task({ queue: stage.queue, retry: { attempts: 3, delay: 1 } })
      async recompute(loanId: number) {
        begun++;
        if (loanId === 0 && taskContext().attempt === 1) throw new Error('once more');
        await gate.pass();
      }
      @Task({ queue: stage.queue, acksLate: false })
      @ShouldCompute('early:<loanId>')
      async early(loanId: number) {
        begun++;
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    for (let i = 0; i < 20; i++) await (i % 2 === 0 ? app.tasks(Loans).recompute(i) : app.tasks(Loans).early(i));
    const quiet = stage.count(app, 'worker:quiet');
    const worker = app.worker({ concurrency: 8, maxTasks: 5 });
    await worker.start();
    await eventually(() => expect(quiet.total).to.equal(1));
    gate.open();
    await worker.drained();
    const failed = begun - ended.total;
    expect(begun).to.equal(5);
    expect(failed).to.be.within(0, 1);
    await eventually(async () => expect(await stage.ready()).to.equal(20 - ended.total));
    const next = stage.app([Loans]);
    const rest = stage.count(next, 'task:succeeded');
    const worker2 = next.worker();
    await worker2.start();
    await worker2.drained();
    expect(ended.total + rest.total).to.equal(20);
  });
});
