import { expect } from 'chai';
import { RejectTask, RetryTask, ShouldCompute, Task, taskContext, type TaskError } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('a worker', (stage) => {
  // W1
  it('lets one of two messages of a key run, and acks the other without its body', async () => {
    const gate = new Gate();
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute('report:<loanId>')
      async report(loanId: number) {
        await gate.pass();
      }
    }
    const app = stage.app([Reports]);
    const [one, other] = [stage.app([Reports]), stage.app([Reports])];
    const dropped = [stage.count(one, 'task:discarded'), stage.count(other, 'task:discarded')];
    const ended = [stage.count(one, 'task:succeeded'), stage.count(other, 'task:succeeded')];
    const receipts = [await app.tasks(Reports).report(1), await app.tasks(Reports).report(1)];
    expect(receipts.map(({ status }) => status)).to.deep.equal(['enqueued', 'enqueued']);
    await Promise.all([
      one.worker({ concurrency: 1, prefetch: 1 }).start(),
      other.worker({ concurrency: 1, prefetch: 1 }).start(),
    ]);
    await eventually(() => expect((dropped[0]?.total ?? 0) + (dropped[1]?.total ?? 0)).to.equal(1));
    expect(gate.arrivals).to.equal(1);
    gate.open();
    await eventually(() => expect((ended[0]?.total ?? 0) + (ended[1]?.total ?? 0)).to.equal(1));
    await eventually(async () => expect(await stage.ready()).to.equal(0));
    expect(gate.arrivals).to.equal(1);
  });

  // W2
  it('runs different keys side by side, and never two bodies of one key', async () => {
    const running = new Map<number, number>();
    let most = 0;
    let overlaps = 0;
    class Reports {
      @Task({ queue: stage.queue })
      @ShouldCompute('report:<loanId>')
      async report(loanId: number) {
        running.set(loanId, (running.get(loanId) ?? 0) + 1);
        if ((running.get(loanId) ?? 0) > 1) overlaps++;
        most = Math.max(most, [...running.values()].filter((n) => n > 0).length);
        await new Promise((resolve) => setImmediate(resolve));
        running.set(loanId, (running.get(loanId) ?? 0) - 1);
      }
    }
    const app = stage.app([Reports]);
    const ended = stage.count(app, 'task:succeeded', 'task:discarded');
    await Promise.all(Array.from({ length: 64 }, (_, i) => app.tasks(Reports).report(i < 32 ? 0 : i)));
    await app.worker({ concurrency: 8 }).start();
    await eventually(() => expect(ended.total).to.equal(64));
    expect(overlaps).to.equal(0);
    expect(most).to.be.within(2, 8);
  });

  // W4
  it('frees the key when the body throws, and does not refuse the retry by its own lock', async () => {
    const attempts: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', retry: { attempts: 3, delay: 10 } })
      async recompute(loanId: number) {
        attempts.push(taskContext().attempt);
        if (attempts.length < 3) throw new Error('not yet');
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(ended.total).to.equal(1));
    expect(attempts).to.deep.equal([1, 2, 3]);
    expect((await stage.record('Loans.recompute', 'loan:1'))?.owner).to.equal(undefined);
  });

  // W5
  it('keeps the key during the back-off, counts the attempts, then buries the message and frees the key', async () => {
    let attempts = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', retry: { attempts: 2, delay: '1s', jitter: false } })
      async recompute(loanId: number) {
        attempts++;
        throw new Error('the rate service is down');
      }
    }
    const app = stage.app([Loans]);
    const retried = stage.count(app, 'task:retried');
    const dead = stage.count(app, 'task:dead');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(retried.total).to.equal(1));
    const duplicate = await app.tasks(Loans).recompute(1);
    expect(duplicate).to.include({ status: 'discarded', id: first.id });
    expect(duplicate.holder?.phase).to.equal('queued');
    await eventually(() => expect(dead.total).to.equal(1));
    expect(attempts).to.equal(2);
    const letters = await stage.dead();
    expect(letters).to.have.length(1);
    expect(letters[0]?.headers).to.include({
      dead_code: 'FAILED',
      dead_reason: 'the rate service is down',
      attempt: 2,
    });
    expect((await stage.record('Loans.recompute', 'loan:1'))?.owner).to.equal(undefined);
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
  });

  // W6 (the killed worker: death.spec.ts)
  it('acks before the body with acksLate false', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', acksLate: false })
      async recompute(loanId: number) {
        await gate.pass();
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await stage.dropConnections();
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    await eventually(async () => expect(await stage.ready()).to.equal(0));
    expect(gate.arrivals).to.equal(1);
  });

  // W7
  it('leaves the key alone when a task ends that is not the holder', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        await gate.pass();
      }
    }
    const app = stage.app([Loans]);
    const dropped = stage.count(app, 'task:discarded');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const body = Buffer.from('[[1], {}, {}]');
    const headers = { task: 'Loans.recompute', id: 'stranger', lock_key: 'loan:1', lock_mode: 'enqueue' };
    await stage.publish({ properties: { contentType: 'application/json' }, headers, body });
    await eventually(() => expect(dropped.total).to.equal(1));
    expect(await stage.record('Loans.recompute', 'loan:1')).to.include({ owner: first.id, phase: 'running' });
    gate.open();
  });

  // D6 (with a body that heeds its signal)
  it('aborts a run whose delivery was lost, and runs the redelivery with a larger fence', async () => {
    const fences: number[] = [];
    const reasons: unknown[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        const { fence, signal } = taskContext();
        fences.push(fence ?? 0);
        if (fences.length > 1) return;
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        reasons.push((signal.reason as TaskError).code);
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(fences).to.have.length(1));
    await stage.dropConnections();
    await eventually(() => expect(ended.total).to.equal(1), { timeout: 15_000 });
    // At once by the link, not at the next renewal by Redis.
    expect(reasons).to.deep.equal(['DELIVERY_LOST']);
    expect(fences[1]).to.be.greaterThan(fences[0] ?? 0);
    expect((await stage.record('Loans.recompute', 'loan:1'))?.done).to.include({ fence: fences[1] });
  });

  it('obeys RetryTask and RejectTask', async () => {
    const seen: string[] = [];
    class Loans {
      @Task({ queue: stage.queue })
      async again(loanId: number) {
        seen.push(`again ${taskContext().attempt}`);
        if (taskContext().attempt === 1) throw new RetryTask({ delay: 20 });
      }

      @Task({ queue: stage.queue })
      async never(loanId: number) {
        seen.push('never');
        throw new RejectTask('the loan is closed');
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded', 'task:dead');
    await app.worker().start();
    await app.tasks(Loans).again(1);
    await app.tasks(Loans).never(1);
    await eventually(() => expect(ended.total).to.equal(2));
    expect(seen.sort()).to.deep.equal(['again 1', 'again 2', 'never']);
    expect((await stage.dead())[0]?.headers).to.include({ dead_code: 'REJECTED', dead_reason: 'the loan is closed' });
  });

  // D3 (in code; the process: spec/cli)
  it('gives back at a stop what has not begun, finishes what runs, and frees the key of what it must abort', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        await Promise.race([
          gate.pass(),
          new Promise((resolve) => taskContext().signal.addEventListener('abort', resolve, { once: true })),
        ]);
      }
    }
    const app = stage.app([Loans]);
    const worker = app.worker({ concurrency: 1 });
    await worker.start();
    for (const loanId of [1, 2, 3]) await app.tasks(Loans).recompute(loanId);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    expect(await worker.stop({ timeout: 50 })).to.deep.equal({ aborted: 1 });
    await eventually(async () => expect(await stage.ready()).to.equal(3));
    expect((await stage.record('Loans.recompute', 'loan:1'))?.owner).to.equal(undefined);
    const next = stage.app([Loans]);
    const ended = stage.count(next, 'task:succeeded');
    gate.open();
    await next.worker().start();
    await eventually(() => expect(ended.total).to.equal(3));
  });

  it('keeps the key of a body that ignores its abort until its lease ends, and runs it again then, never beside it', async () => {
    const gate = new Gate();
    let bodies = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', lease: '3s' } })
      async recompute(loanId: number) {
        bodies++;
        if (bodies === 1) await gate.pass();
      }
    }
    const app = stage.app([Loans]);
    const overdue = stage.count(app, 'task:overdue');
    const worker = app.worker();
    await worker.start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await worker.stop({ timeout: 0 });
    expect(overdue.total).to.equal(1);
    expect(await stage.record('Loans.recompute', 'loan:1')).to.include({ phase: 'running' });
    const next = stage.app([Loans]);
    const waiting = stage.count(next, 'lock:waiting');
    const ended = stage.count(next, 'task:succeeded');
    await next.worker().start();
    await eventually(() => expect(waiting.total).to.equal(1));
    expect(bodies).to.equal(1);
    await eventually(() => expect(ended.total).to.equal(1), { timeout: 8_000 });
    expect(bodies).to.equal(2);
    gate.open();
  });
});

onEveryStage('a worker in trouble', (stage) => {
  it('publishes a failing task once per retry, also with no room to wait in', async () => {
    class Loans {
      @Task({ queue: stage.queue, retry: { attempts: 2, delay: 600, jitter: false } })
      async recompute(loanId: number) {
        throw new Error(`no loan ${loanId}`);
      }
    }
    const published: string[] = [];
    const app = stage.app([Loans], { onPublish: (queue) => published.push(queue) });
    const dead = stage.count(app, 'task:dead');
    await app.worker({ concurrency: 2, prefetch: 2 }).start();
    await Promise.all([1, 2, 3].map((loanId) => app.tasks(Loans).recompute(loanId)));
    await eventually(() => expect(dead.total).to.equal(3));
    // Each is published three times: enqueued, retried, buried.
    expect(published).to.have.length(9);
  });

  it('buries what throws something that is no proper error', async () => {
    const odd: unknown[] = [Object.create(null), Object.assign(new Error('x'), { message: { a: 1 } }), undefined];
    class Loans {
      @Task({ queue: stage.queue, retry: 1 })
      async recompute(index: number) {
        throw odd[index];
      }
    }
    const app = stage.app([Loans]);
    const dead = stage.count(app, 'task:dead');
    const started = stage.count(app, 'task:started');
    await app.worker().start();
    await Promise.all(odd.map((_, index) => app.tasks(Loans).recompute(index)));
    await eventually(() => expect(dead.total).to.equal(3));
    expect(started.total).to.equal(3);
    expect(await stage.dead()).to.have.length(3);
  });

  it('begins nothing any more once it drains, and gives everything back', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(loanId: number) {
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const worker = app.worker({ concurrency: 1 });
    await worker.start();
    await Promise.all([1, 2, 3, 4].map((loanId) => app.tasks(Loans).recompute(loanId)));
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await app.tasks(Loans, { delay: 900 }).recompute(5);
    const quiet = worker.quiet();
    gate.open();
    await quiet;
    await worker.stop();
    expect(gate.arrivals).to.equal(1);
    await eventually(async () => expect(await stage.ready()).to.equal(4));
  });

  it('starts once, and not again after a stop', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const worker = app.worker();
    const ready = stage.count(app, 'worker:ready');
    await Promise.all([worker.start(), worker.start()]);
    expect(ready.total).to.equal(1);
    expect(await worker.stop()).to.deep.equal({ aborted: 0 });
    const refused = await worker.start().catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'CLOSED');
    await app.tasks(Loans).recompute(1);
    await eventually(async () => expect(await stage.ready()).to.equal(1));
  });

  it('frees the key of an early-acked task whose retry cannot be published, and says so', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', acksLate: false, retry: { attempts: 2, delay: 10 } })
      async recompute(loanId: number) {
        await stage.removeQueue();
        throw new Error(`no loan ${loanId}`);
      }
    }
    const app = stage.app([Loans]);
    const failed = stage.count(app, 'publish:failed');
    const worker = app.worker();
    await worker.start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(failed.total).to.be.at.least(1));
    expect(await stage.record('Loans.recompute', 'loan:1')).to.include({ phase: 'queued' });
    await worker.stop({ timeout: 0 });
    expect((await stage.record('Loans.recompute', 'loan:1'))?.owner).to.equal(undefined);
    await stage.restoreQueue();
  });
});
