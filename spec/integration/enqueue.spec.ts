import { expect } from 'chai';
import { Key, Task, type Receipt, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

onEveryStage('enqueueing a unique task', (stage) => {
  // E1
  it('publishes one message for two calls of one key, and names kept and dropped id', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const dropped: TaskEvents['task:discarded'][] = [];
    app.on('task:discarded', (event) => dropped.push(event));
    const first = await app.tasks(Loans).recompute(42);
    const second = await app.tasks(Loans).recompute(42);
    expect(first).to.include({ status: 'enqueued', key: 'loan:42' });
    expect(second).to.include({ status: 'discarded', id: first.id, key: 'loan:42' });
    expect(second.holder).to.deep.equal({ id: first.id, phase: 'queued' });
    await eventually(async () => expect(await stage.ready()).to.equal(1));
    expect(dropped).to.have.length(1);
    expect(dropped[0]).to.deep.include({ task: 'Loans.recompute', key: 'loan:42', side: 'enqueue', reason: 'queued' });
    expect(dropped[0]?.holder.id).to.equal(first.id);
    expect(dropped[0]?.id).to.be.a('string').and.not.equal(first.id);
  });

  // E2 (in one process; processes of their own: death.spec.ts)
  it('publishes one message for fifty concurrent calls from five apps, and accepts every other key', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const apps = Array.from({ length: 5 }, () => stage.app([Loans]));
    const calls = apps.flatMap((app) => Array.from({ length: 10 }, () => app.tasks(Loans).recompute(1)));
    const receipts = await Promise.all(calls);
    expect(new Set(receipts.map(({ id }) => id)).size).to.equal(1);
    expect(receipts.filter(({ status }) => status === 'enqueued')).to.have.length(1);
    const others = await Promise.all(apps.map((app, i) => app.tasks(Loans).recompute(100 + i)));
    expect(others.map(({ status }) => status)).to.deep.equal(Array(5).fill('enqueued'));
    await eventually(async () => expect(await stage.ready()).to.equal(6));
  });

  // E3
  it('accepts the key again after a good run, and after a final failure', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', retry: 1 })
      async recompute(loanId: number) {
        if (loanId === 2) throw new Error('no such loan');
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded', 'task:dead');
    await app.worker().start();
    for (const loanId of [1, 2]) {
      const before = ended.total;
      expect(await app.tasks(Loans).recompute(loanId)).to.include({ status: 'enqueued' });
      await eventually(() => expect(ended.total).to.equal(before + 1));
      expect(await app.tasks(Loans).recompute(loanId)).to.include({ status: 'enqueued' });
      await eventually(() => expect(ended.total).to.equal(before + 2));
    }
    const dead = await stage.dead();
    expect(dead).to.have.length(2);
    expect(dead[0]?.headers).to.include({ dead_code: 'FAILED', dead_reason: 'no such loan' });
  });

  // E4
  it('drops a duplicate of a running holder, counted apart', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        await gate.pass();
      }
    }
    const app = stage.app([Loans]);
    const reasons: string[] = [];
    app.on('task:discarded', ({ reason }) => reasons.push(reason));
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const second = await app.tasks(Loans).recompute(1);
    expect(second.holder).to.deep.equal({ id: first.id, phase: 'running' });
    expect(reasons).to.deep.equal(['running']);
    gate.open();
  });

  // E9
  it('treats positional and object arguments, numbers and their text, as the same key where they are the same', async () => {
    class Loans {
      @Task({ name: `${stage.queue}.a`, queue: stage.queue, unique: 'loan:<loanId>' })
      async byNumber(loanId: number | string) {
        return loanId;
      }

      @Task({ name: `${stage.queue}.b`, queue: stage.queue, unique: 'loan:<loanId>' })
      async byObject(loan: { loanId: number | string }) {
        return loan;
      }

      @Task({ name: `${stage.queue}.c`, queue: stage.queue, unique: 'day:<day>:<part>' })
      async byDay(day: Date | string, @Key('part') p: string) {
        return [day, p];
      }
    }
    const loans = stage.app([Loans]).tasks(Loans);
    const status = async (receipt: Promise<Receipt>) => (await receipt).status;
    expect(await status(loans.byNumber(42))).to.equal('enqueued');
    expect(await status(loans.byNumber('42'))).to.equal('discarded');
    expect(await status(loans.byObject({ loanId: 42 }))).to.equal('enqueued');
    expect(await status(loans.byObject({ loanId: '42' }))).to.equal('discarded');
    const day = new Date('2026-01-31T00:00:00Z');
    expect(await status(loans.byDay(day, 'x'))).to.equal('enqueued');
    expect(await status(loans.byDay(day.toISOString(), 'x'))).to.equal('discarded');
    expect(await status(loans.byDay('a:b', 'c'))).to.equal('enqueued');
    expect(await status(loans.byDay('a', 'b:c'))).to.equal('enqueued');
    for (const wrong of [null, undefined, Number.NaN, {}, '']) {
      const thrown = await loans.byNumber(wrong as never).catch((error: unknown) => error);
      expect(thrown).to.have.property('code', 'KEY');
    }
    await eventually(async () => expect(await stage.ready()).to.equal(5));
  });

  // E11
  it('runs a delayed task in spite of its own lock, which lives at least delay and ttl', async () => {
    const seen: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', ttl: '20s' } })
      async recompute(loanId: number) {
        seen.push(loanId);
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    const asked = Date.now();
    const first = await app.tasks(Loans, { delay: 1_500 }).recompute(1);
    const record = await eventually(async () => {
      const found = await stage.record('Loans.recompute', 'loan:1');
      expect(found?.phase).to.equal('queued');
      return found;
    });
    expect((record?.deadline ?? 0) - asked).to.be.at.least(21_500);
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'discarded', id: first.id });
    await eventually(() => expect(seen).to.deep.equal([1]));
    expect(Date.now() - asked).to.be.at.least(1_500);
  });

  // E12 (the run; two at once: worker.spec.ts)
  it('runs a message that waited longer than its ttl, and covers an older one by the newer run', async () => {
    const seen: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', ttl: 100 } })
      async recompute(loanId: number) {
        seen.push(loanId);
      }
    }
    const app = stage.app([Loans]);
    const first = await app.tasks(Loans).recompute(1);
    const second = await eventually(async () => {
      const receipt = await app.tasks(Loans).recompute(1);
      expect(receipt.status).to.equal('enqueued');
      return receipt;
    });
    expect(second.id).to.not.equal(first.id);
    const ended = stage.count(app, 'task:succeeded', 'task:discarded');
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(2));
    expect(seen.length).to.be.within(1, 2);
    expect(await stage.ready()).to.equal(0);
  });

  // E13
  it('runs a message of a foreign producer without lock headers under the claim of the worker', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ name: 'loans.tasks.recompute', queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        await gate.pass();
      }
    }
    const app = stage.app([Loans]);
    const dropped = stage.count(app, 'task:discarded');
    await app.worker().start();
    const body = Buffer.from(
      JSON.stringify([[], { loanId: 7 }, { callbacks: null, errbacks: null, chain: null, chord: null }]),
    );
    for (const id of ['from-python-1', 'from-python-2']) {
      const headers = { lang: 'py', task: 'loans.tasks.recompute', id };
      const properties = { contentType: 'application/json', contentEncoding: 'utf-8', correlationId: id };
      await stage.publish({ properties, headers, body });
    }
    await eventually(() => expect(dropped.total).to.equal(1));
    expect(gate.arrivals).to.equal(1);
    expect((await stage.record('loans.tasks.recompute', 'loan:7'))?.phase).to.equal('running');
    gate.open();
    await eventually(async () =>
      expect((await stage.record('loans.tasks.recompute', 'loan:7'))?.phase).to.equal(undefined),
    );
  });
});
