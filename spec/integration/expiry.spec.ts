import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { ConfigError, ShouldCompute, Task, taskContext, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

/** ms */
const EXPIRES = 200;

onEveryStage('a message that expires', (stage) => {
  // D12
  it('alone is dropped and counted, and its key is free at once', async () => {
    const ran: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', expires: EXPIRES })
      async recompute(loanId: number) {
        ran.push(loanId);
      }
    }
    const app = stage.app([Loans]);
    const expired: TaskEvents['task:expired'][] = [];
    app.on('task:expired', (event) => expired.push(event));
    const before = Date.now();
    const { id } = await app.tasks(Loans).recompute(1);
    const record = await stage.record('Loans.recompute', 'loan:1');
    expect(record?.expires).to.be.within(before + EXPIRES, Date.now() + EXPIRES);
    await sleep(EXPIRES);
    await app.worker().start();
    await eventually(() => expect(expired).to.have.length(1));
    expect(expired[0]).to.deep.include({ id, task: 'Loans.recompute', key: 'loan:1', expires: record?.expires });
    const { owner, done } = (await stage.record('Loans.recompute', 'loan:1'))!;
    expect([owner, done]).to.deep.equal([undefined, undefined]);
    expect((await app.tasks(Loans).recompute(1)).status).to.equal('enqueued');
    await eventually(() => expect(ran).to.deep.equal([1]));
    expect(await stage.dead()).to.have.length(0);
  });

  it('is a failure to whoever waits for its result, with a lock and without one', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', expires: EXPIRES })
      async recompute(loanId: number) {
        return loanId;
      }

      @Task({ queue: stage.queue, expires: EXPIRES })
      async plain(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans], { results: true });
    const receipts = [await app.tasks(Loans).recompute(1), await app.tasks(Loans).plain(1)];
    await sleep(EXPIRES);
    await app.worker().start();
    for (const receipt of receipts) {
      const failure = await receipt.result({ timeout: '5s' }).catch((error: unknown) => error);
      expect(failure).to.include({ code: 'TASK_FAILED' });
      expect(failure).to.have.nested.property('data.code', 'EXPIRED');
    }
  });

  // D12
  it('runs all the same when a duplicate that never expires was dropped on it', async () => {
    const ran: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', name: 'recompute', expires: EXPIRES })
      async recompute(loanId: number) {
        ran.push(loanId);
      }
    }
    class Patient {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', name: 'recompute' })
      async recompute(loanId: number) {
        ran.push(loanId);
      }
    }
    const app = stage.app([Loans]);
    await app.tasks(Loans).recompute(1);
    const receipt = await stage.app([Patient]).tasks(Patient).recompute(1);
    expect(receipt.status).to.equal('discarded');
    expect((await stage.record('recompute', 'loan:1'))?.expires).to.equal(0);
    await sleep(EXPIRES);
    await app.worker().start();
    await eventually(() => expect(ran).to.deep.equal([1]));
  });

  // D12
  it('waits as long as the last of those that were dropped on it', async () => {
    let ran = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan', expires: 2_000 })
      async recompute() {
        ran++;
      }
    }
    const app = stage.app([Loans]);
    await app.tasks(Loans).recompute();
    const first = (await stage.record('Loans.recompute', 'loan'))!.expires;
    await sleep(20);
    await Promise.all([app.tasks(Loans).recompute(), app.tasks(Loans).recompute()]);
    expect((await stage.record('Loans.recompute', 'loan'))?.expires).to.be.within(first + 20, first + 1_500);
    await app.worker().start();
    await eventually(() => expect(ran).to.equal(1));
  });

  it('is not judged again once its run began: its retries go on', async () => {
    const attempts: string[] = [];
    const retry = { attempts: 2, delay: 800, jitter: false };
    function failFirst(): void {
      const { task, attempt } = taskContext();
      attempts.push(`${task} ${attempt}`);
      if (attempt === 1) throw new Error('not yet');
    }
    class Loans {
      @Task({ name: 'unique', queue: stage.queue, unique: 'loan', expires: 700, retry })
      async recompute() {
        failFirst();
      }
      @Task({ name: 'plain', queue: stage.queue, expires: 700, retry })
      async plain() {
        failFirst();
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await Promise.all([app.tasks(Loans).plain(), app.tasks(Loans).recompute()]);
    await eventually(() => expect(ended.total).to.equal(2));
    expect(attempts.toSorted()).to.deep.equal(['plain 1', 'plain 2', 'unique 1', 'unique 2']);
  });

  it('is not judged again when its run was aborted and let its key go', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan', expires: 500 })
      async recompute() {
        const { signal } = taskContext();
        await Promise.race([gate.pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    const first = app.worker();
    await first.start();
    await app.tasks(Loans).recompute();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await first.stop({ timeout: 0 });
    expect((await stage.record('Loans.recompute', 'loan'))?.owner).to.equal(undefined);
    await sleep(500);
    gate.open();
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(1));
    expect(gate.arrivals).to.equal(2);
  });

  it('is dropped without a lock, with one that only the worker takes, and after its delay', async () => {
    let ran = 0;
    class Loans {
      @Task({ queue: stage.queue, expires: EXPIRES })
      async plain() {
        ran++;
      }
      @Task({ queue: stage.queue, expires: EXPIRES })
      @ShouldCompute('report')
      async report() {
        ran++;
      }
    }
    const app = stage.app([Loans]);
    const expired = stage.count(app, 'task:expired');
    await app.tasks(Loans).plain();
    await app.tasks(Loans).report();
    await app.tasks(Loans, { delay: EXPIRES / 2 }).plain();
    await sleep(EXPIRES);
    await app.worker().start();
    await eventually(() => expect(expired.total).to.equal(3));
    expect(ran).to.equal(0);
  });

  it('takes the time of its call before that of its task, and none that ends before it may run', async () => {
    let ran = 0;
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', expires: EXPIRES })
      async recompute(_: string, loanId: number) {
        return (ran += loanId);
      }
    }
    const app = stage.app([Loans]);
    const expired = stage.count(app, 'task:expired');
    const late: unknown = await app
      .tasks(Loans, { delay: 2 * EXPIRES })
      .recompute('', 1)
      .catch((error: unknown) => error);
    expect(late).to.be.instanceOf(ConfigError).with.property('message').that.contains('expires before it may run');
    await app.tasks(Loans, { expires: '1m' }).recompute('', 1);
    await app.tasks(Loans, { delay: EXPIRES, expires: '1m' }).recompute('', 10);
    await app.tasks(Loans).recompute('', 100);
    await sleep(EXPIRES);
    await app.worker().start();
    await eventually(() => expect([ran, expired.total]).to.deep.equal([11, 1]));
  });

  it('of Celery is dropped by the time that its header says', async () => {
    const ran: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, name: 'loans.tasks.recompute' })
      async recompute(loanId: number) {
        ran.push(loanId);
      }
    }
    const app = stage.app([Loans]);
    const expired = stage.count(app, 'task:expired');
    const times = ['2020-01-01T12:00:00+00:00', new Date(Date.now() + 60_000).toISOString(), null];
    for (const [i, expires] of times.entries()) {
      await stage.publish({
        properties: { contentType: 'application/json', contentEncoding: 'utf-8' },
        headers: { lang: 'py', id: `celery-${i}`, task: 'loans.tasks.recompute', retries: 0, expires },
        body: Buffer.from(`[[${i}],{},{}]`),
      });
    }
    await app.worker().start();
    await eventually(() => expect(ran.toSorted((a, b) => a - b)).to.deep.equal([1, 2]));
    await eventually(() => expect(expired.total).to.equal(1));
  });
});
