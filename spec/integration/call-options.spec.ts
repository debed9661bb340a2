import { expect } from 'chai';
import { ShouldCompute, Task, taskContext, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { uniqueName } from '../support/servers.js';
import { onEveryStage } from '../support/stage.js';

const refusal = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

onEveryStage('one enqueue with options of its own', (stage) => {
  it('carries its id, headers, priority and expiry in the message', async () => {
    class Loans {
      @Task({ queue: stage.queue, priority: 1, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const expires = new Date('2035-01-31T08:00:00Z');
    const options = { id: 'loan 1 größe', headers: { trace_id: 'abc', tries: 3, dry: true }, priority: 7, expires };
    const receipt = await app.tasks(Loans, options).recompute(1);
    expect(receipt).to.include({ status: 'enqueued', id: 'loan 1 größe' });
    const record = await eventually(async () => {
      const found = await stage.record('Loans.recompute', 'loan:1');
      expect(found?.phase).to.equal('queued');
      return found;
    });
    expect(record).to.include({ owner: 'loan 1 größe', expires: expires.getTime() });
    const [frame] = await stage.messages();
    expect(frame?.properties).to.include({ messageId: 'loan 1 größe', correlationId: 'loan 1 größe', priority: 7 });
    expect(frame?.headers).to.include({ trace_id: 'abc', tries: 3, dry: true, expires: '2035-01-31T08:00:00.000Z' });
    expect(frame?.properties.expiration).to.equal(undefined);
  });

  it('shows its id to the run, and is no second task under the id of a waiting one', async () => {
    const seen: string[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', onDuplicate: 'reject' } })
      async recompute(loanId: number) {
        seen.push(`${taskContext().id} ${loanId}`);
      }
    }
    const app = stage.app([Loans]);
    const loans = app.tasks(Loans, { id: 'nightly-1' });
    expect(await loans.recompute(1)).to.include({ status: 'enqueued', id: 'nightly-1' });
    expect(await loans.recompute(1)).to.include({ status: 'discarded', id: 'nightly-1' });
    await eventually(async () => expect(await stage.ready()).to.equal(1));
    await app.worker().start();
    await eventually(() => expect(seen).to.deep.equal(['nightly-1 1']));
  });

  it('takes a key for one call, on either side, and refuses what is no key or has no place', async () => {
    const keys: unknown[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        keys.push(`${taskContext().key} ${loanId}`);
      }

      @Task({ queue: stage.queue })
      @ShouldCompute('report:<loanId>')
      async report(loanId: number) {
        keys.push(`${taskContext().key} ${loanId}`);
      }

      @Task({ queue: stage.queue })
      async plain() {}
    }
    const app = stage.app([Loans]);
    const first = await app.tasks(Loans).recompute(1);
    const same = await app.tasks(Loans, { key: 'loan:1' }).recompute(2);
    expect(same).to.include({ status: 'discarded', id: first.id, key: 'loan:1' });
    expect(await app.tasks(Loans, { key: 42 }).recompute(1)).to.include({ status: 'enqueued', key: '42' });
    expect(await app.tasks(Loans, { key: 'all reports' }).report(3)).to.include({ key: 'all reports' });
    for (const key of ['', null, Number.NaN, {}, true, 'x'.repeat(513)]) {
      expect(await refusal(app.tasks(Loans, { key: key as never }).recompute(9))).to.have.property('code', 'KEY');
    }
    const plain = await refusal(app.tasks(Loans, { key: 'x' }).plain());
    expect(plain).to.have.property('code', 'CONFIG');
    expect(plain)
      .to.have.property('message')
      .that.matches(/Loans\.plain is not unique/);
    await app.worker().start();
    await eventually(() => expect(keys).to.have.members(['loan:1 1', '42 1', 'all reports 3']));
  });

  it('runs at its moment, keeps its key until then, and runs at once when the moment has passed', async () => {
    const ran: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', ttl: '20s' } })
      async recompute(loanId: number) {
        ran.push(loanId);
      }
    }
    const app = stage.app([Loans]);
    const delays: number[] = [];
    app.on('task:enqueued', ({ delay }) => delays.push(delay));
    await app.worker().start();
    const at = Date.now() + 1_500;
    await app.tasks(Loans, { at: new Date(at) }).recompute(1);
    await app.tasks(Loans, { at: new Date(at - 60_000).toISOString() }).recompute(2);
    await eventually(() => expect(ran).to.deep.equal([2]));
    const record = await stage.record('Loans.recompute', 'loan:1');
    expect(record?.deadline ?? 0).to.be.at.least(at + 20_000);
    await eventually(() => expect(ran).to.deep.equal([2, 1]));
    expect(Date.now()).to.be.at.least(at);
    expect(delays[0]).to.be.within(1_000, 1_500);
    expect(delays[1]).to.equal(0);
  });

  it('declares a queue that nobody knew, and again when it was removed', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const queue = uniqueName('other');
    const app = stage.app([Loans]);
    const enqueued: TaskEvents['task:enqueued'][] = [];
    app.on('task:enqueued', (event) => enqueued.push(event));
    const loans = app.tasks(Loans, { queue });
    expect(await loans.recompute(1)).to.include({ status: 'enqueued' });
    expect(enqueued[0]).to.include({ queue });
    await eventually(async () => expect(await stage.ready(queue)).to.equal(1));
    expect(await stage.ready()).to.equal(0);
    await stage.removeQueue(queue);
    expect(await refusal(loans.recompute(2))).to.have.property('code', 'UNROUTABLE');
    expect(await loans.recompute(2)).to.include({ status: 'enqueued' });
    await eventually(async () => expect(await stage.ready(queue)).to.equal(1));
    await stage.removeQueue(queue);
  });

  it('is not covered by one that may be dropped earlier: the waiting message then lives as long', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const early = Date.now() + 60_000;
    const late = early + 60_000;
    const [first, second, third] = await Promise.all([
      app.tasks(Loans, { expires: new Date(early) }).recompute(1),
      app.tasks(Loans, { expires: new Date(early - 1) }).recompute(1),
      app.tasks(Loans, { expires: new Date(late) }).recompute(1),
    ]);
    expect([first, second, third].map(({ status }) => status)).to.deep.equal(['enqueued', 'discarded', 'discarded']);
    expect((await stage.record('Loans.recompute', 'loan:1'))?.expires).to.equal(late);
    await app.tasks(Loans).recompute(1);
    expect((await stage.record('Loans.recompute', 'loan:1'))?.expires).to.equal(0);
  });

  // E14
  it('is refused with the id of the holder where duplicates are rejected, alone and beside others', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', onDuplicate: 'reject' } })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const calls = await Promise.allSettled([1, 2, 3].map(() => app.tasks(Loans).recompute(1)));
    const [first, ...others] = calls.map((call) => (call.status === 'fulfilled' ? call.value : call.reason));
    expect(first).to.include({ status: 'enqueued' });
    const late = await refusal(stage.app([Loans]).tasks(Loans).recompute(1));
    for (const rejected of [...others, late]) {
      expect(rejected).to.have.property('name', 'DuplicateTaskError');
      expect(rejected).to.have.property('code', 'DUPLICATE');
      expect(rejected.data).to.include({ holder: first.id, key: 'loan:1', phase: 'queued', task: 'Loans.recompute' });
    }
    await eventually(async () => expect(await stage.ready()).to.equal(1));
  });
});
