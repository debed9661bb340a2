import { expect } from 'chai';
import { ShouldCompute, Task, taskContext } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

/** Longer than a stand-in rests, so that it has come back once more. */
async function awhile(ms: number): Promise<void> {
  const end = Date.now() + ms;
  await eventually(() => expect(Date.now()).to.be.above(end), { timeout: ms + 1_000 });
}

onEveryStage('a long task', (stage) => {
  it('is acknowledged as its body begins; its stand-in looks after it, and is gone when it has ended', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', long: '1s' })
      async recompute(loanId: number) {
        await gate.pass();
        return loanId;
      }
    }
    const published: string[] = [];
    const app = stage.app([Loans], { onPublish: (queue) => published.push(queue) });
    const ended = stage.count(app, 'task:succeeded');
    // The seat is taken by the run itself, and the stand-in is met all the same.
    await app.worker({ concurrency: 1 }).start();
    await app.tasks(Loans).recompute(1);
    // The call, the stand-in, and what became of it each time that it came back.
    await eventually(() => expect(published.length).to.be.above(3), { timeout: 15_000 });
    expect(gate.arrivals).to.equal(1);
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'discarded' });
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    const count = published.length;
    await awhile(2_500);
    expect({ bodies: gate.arrivals, ended: ended.total, published: published.length }).to.deep.equal({
      bodies: 1,
      ended: 1,
      published: count,
    });
    expect(await stage.ready()).to.equal(0);
  }).timeout(30_000);

  it('whose stand-in cannot be published does not begin: its message goes back, and begins with one', async () => {
    const gate = new Gate();
    const told: string[] = [];
    class Loans {
      @Task({ queue: stage.queue, long: '1s' })
      async recompute(loanId: number) {
        told.push('body');
        await gate.pass();
        return loanId;
      }
    }
    const onPublish = (): void => {
      told.push(told.length === 1 ? 'refused' : 'published');
      if (told.length === 2) throw new Error('no stand-in now');
    };
    const app = stage.app([Loans], { onPublish });
    const failed = stage.count(app, 'publish:failed');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    expect(told.slice(0, 4)).to.deep.equal(['published', 'refused', 'published', 'body']);
    expect(failed.total).to.equal(1);
    gate.open();
  });

  it('goes on when the link to the broker is lost, and runs once', async () => {
    const gate = new Gate();
    let aborted = 0;
    class Loans {
      @Task({ queue: stage.queue, long: '1s' })
      async recompute(loanId: number) {
        taskContext().signal.addEventListener('abort', () => aborted++);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await stage.dropConnections();
    await awhile(2_500);
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    await awhile(2_500);
    expect({ bodies: gate.arrivals, ended: ended.total, aborted }).to.deep.equal({ bodies: 1, ended: 1, aborted: 0 });
  }).timeout(30_000);

  it('without a key has a record under its own id, and no key of its own', async () => {
    const gate = new Gate();
    const seen: unknown[] = [];
    class Loans {
      @Task({ queue: stage.queue, long: '1s' })
      async recompute(loanId: number) {
        seen.push(taskContext().key, typeof taskContext().fence);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    const { id } = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    expect(await stage.record('Loans.recompute', `id:${id}`)).to.include({ owner: id, phase: 'running' });
    gate.open();
    await eventually(async () =>
      expect(await stage.record('Loans.recompute', `id:${id}`)).to.include({ owner: undefined }),
    );
    expect(seen).to.deep.equal([undefined, 'number']);
  });

  it('that fails has its attempts and its dead letter, no more', async () => {
    const attempts: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', long: '1s', retry: { attempts: 3, delay: 1_200 } })
      async recompute(loanId: number) {
        attempts.push(taskContext().attempt);
        throw new Error('no luck');
      }
    }
    const app = stage.app([Loans]);
    const dead = stage.count(app, 'task:dead');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    await eventually(() => expect(dead.total).to.equal(1), { timeout: 15_000 });
    await awhile(2_500);
    expect(attempts).to.deep.equal([1, 2, 3]);
    expect(dead.total).to.equal(1);
    expect(await stage.dead()).to.have.length(1);
    expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
  }).timeout(30_000);

  it('of a worker that stops is run by another one at once, and its key is free', async () => {
    const gate = new Gate();
    const ran: string[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', long: '1h' })
      async recompute(loanId: number) {
        ran.push(taskContext().id);
        const { signal } = taskContext();
        await Promise.race([gate.pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
        return loanId;
      }
    }
    const [first, second] = [stage.app([Loans]), stage.app([Loans])];
    const ended = stage.count(second, 'task:succeeded');
    const worker = first.worker();
    await worker.start();
    const { id } = await first.tasks(Loans).recompute(1);
    await eventually(() => expect(ran).to.have.length(1));
    await second.worker().start();
    expect(await worker.stop({ timeout: 0 })).to.deep.equal({ aborted: 1 });
    gate.open();
    await eventually(() => expect(ended.total).to.equal(1));
    expect(ran).to.deep.equal([id, id]);
  });

  it('that began does not expire, whoever ends it', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>', long: '1h', expires: 1_500 })
      async recompute(loanId: number) {
        const { signal } = taskContext();
        await Promise.race([gate.pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
        return loanId;
      }
    }
    const [first, second] = [stage.app([Loans]), stage.app([Loans])];
    const expired = stage.count(second, 'task:expired');
    const ended = stage.count(second, 'task:succeeded');
    const worker = first.worker();
    await worker.start();
    await first.tasks(Loans).recompute(1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await awhile(1_600);
    await worker.stop({ timeout: 0 });
    gate.open();
    await second.worker().start();
    await eventually(() =>
      expect({ ended: ended.total, expired: expired.total }).to.deep.equal({ ended: 1, expired: 0 }),
    );
  });

  it('runs once more for the newest arguments that came meanwhile', async () => {
    const gate = new Gate();
    const rates: number[] = [];
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce' }, long: '1s' })
      async recompute(loanId: number, rate: number) {
        rates.push(rate);
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await app.tasks(Loans).recompute(1, 2);
    expect(await app.tasks(Loans).recompute(1, 3)).to.include({ status: 'coalesced' });
    gate.open();
    await eventually(() => expect(rates).to.deep.equal([1, 3]));
    await awhile(2_500);
    expect(rates).to.deep.equal([1, 3]);
  }).timeout(30_000);

  it('under requeue is not repeated by its stand-in, whoever had the key after it', async () => {
    const ids: string[] = [];
    class Loans {
      @Task({ queue: stage.queue, long: '2s' })
      @ShouldCompute({ key: 'loan:<loanId>', onDuplicate: 'requeue' })
      async recompute(loanId: number) {
        ids.push(taskContext().id);
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    const first = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(ended.total).to.equal(1));
    const second = await app.tasks(Loans).recompute(1);
    await eventually(() => expect(ended.total).to.equal(2));
    await awhile(3_500);
    expect(ids).to.deep.equal([first.id, second.id]);
  }).timeout(30_000);
});
