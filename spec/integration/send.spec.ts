import { expect } from 'chai';
import { Task, taskContext, tasks } from 'solotask';
import { eventually } from '../support/eventually.js';
import { uniqueName } from '../support/servers.js';
import { onEveryStage } from '../support/stage.js';

const refusal = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

onEveryStage('sending a task by its name', (stage) => {
  class Loans {
    @Task({ queue: 'unused' })
    async unused() {}
  }

  it("publishes to somebody else's queue what a Celery worker takes, and no lock", async () => {
    const queue = uniqueName('celery');
    await stage.declare(queue);
    const app = stage.app([Loans]);
    const receipt = await app.send('loans.tasks.recompute', {
      args: [42, new Date('2026-01-31T08:00:00Z')],
      kwargs: { force: true },
      queue,
      id: 'abc',
      headers: { trace: 'x' },
      priority: 3,
      expires: '1h',
    });
    expect(receipt).to.include({ status: 'enqueued', id: 'abc', key: undefined });
    await eventually(async () => expect(await stage.ready(queue)).to.equal(1));
    const [frame] = await stage.messages(queue);
    expect(frame?.properties).to.include({ contentType: 'application/json', contentEncoding: 'utf-8', priority: 3 });
    expect(frame?.properties.correlationId).to.equal('abc');
    expect(Number(frame?.properties.expiration)).to.be.within(3_590_000, 3_600_000);
    expect(frame?.headers).to.include({ task: 'loans.tasks.recompute', id: 'abc', trace: 'x' });
    expect(frame?.headers).to.include({ eta: null, expires: null });
    expect(frame?.headers).to.not.have.any.keys('lock_key', 'lock_mode');
    expect(JSON.parse(String(frame?.body))).to.deep.equal([
      [42, '2026-01-31T08:00:00.000Z'],
      { force: true },
      { callbacks: null, errbacks: null, chain: null, chord: null },
    ]);
    await stage.removeQueue(queue);
  });

  it('reaches a task of this app without a queue, by position and by name, under its key on the worker', async () => {
    const seen: unknown[] = [];
    class Listed {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number, force: boolean) {
        seen.push([loanId, force, taskContext().key]);
      }
    }
    const app = stage.app([Listed]);
    await app.worker().start();
    const sent = Date.now();
    await app.send('Listed.recompute', { args: [42], kwargs: { force: true }, delay: '1s', expires: '1h' });
    await eventually(() => expect(seen).to.deep.equal([[42, true, 'loan:42']]));
    expect(Date.now() - sent).to.be.at.least(1_000);
  });

  it('tells where a task comes from that a run has enqueued: its parent, and the root of both', async () => {
    const queue = uniqueName('celery');
    await stage.declare(queue);
    class Steps {
      @Task({ queue: stage.queue })
      async first() {
        await tasks(Steps).second();
      }
      @Task({ queue: stage.queue })
      async second() {
        await app.send('loans.tasks.recompute', { queue, args: [taskContext().id], timeLimit: { hard: '90s' } });
      }
    }
    const app = stage.app([Steps]);
    await app.worker().start();
    const { id } = await app.tasks(Steps).first();
    await eventually(async () => expect(await stage.ready(queue)).to.equal(1));
    const [frame] = await stage.messages(queue);
    const [[parent]] = JSON.parse(String(frame?.body)) as [[string]];
    expect(parent).to.not.equal(id);
    expect(frame?.headers).to.deep.include({ root_id: id, parent_id: parent, timelimit: [90, null] });
    await stage.removeQueue(queue);
  });

  it('delays on our side, and gives the broker what is left of its time afterwards', async () => {
    const queue = uniqueName('celery');
    await stage.declare(queue);
    const app = stage.app([Loans]);
    await app.worker({ queues: [stage.queue] }).start();
    await app.send('loans.tasks.recompute', { queue, delay: '1.5s' });
    expect(await stage.ready(queue)).to.equal(0);
    await eventually(async () => expect(await stage.ready(queue)).to.equal(1), { timeout: 15_000 });
    const [frame] = await stage.messages(queue);
    expect(frame?.headers).to.include({ eta: null });
    expect(frame?.properties.expiration).to.equal(undefined);
    await stage.removeQueue(queue);
    const other = uniqueName('celery');
    await stage.declare(other);
    await app.send('loans.tasks.recompute', { queue: other, delay: '2s', expires: '1h' });
    await eventually(async () => expect(await stage.ready(other)).to.equal(1), { timeout: 15_000 });
    const [late] = await stage.messages(other);
    expect(Number(late?.properties.expiration)).to.be.within(3_570_000, 3_598_050);
    expect(late?.headers).to.include({ eta: null, expires: null }).and.not.have.any.keys('due_queue', 'due_expires');
    await stage.removeQueue(other);
  });

  it('drops what has expired before somebody could bring it there, and says so', async () => {
    const queue = uniqueName('celery');
    await stage.declare(queue);
    const app = stage.app([Loans]);
    const expired: unknown[] = [];
    app.on('task:expired', (event) => expired.push(event));
    const expires = Date.now() + 2_000;
    await app.send('loans.tasks.recompute', { queue, id: 'abc', delay: '1s', expires: new Date(expires) });
    await app.send('loans.tasks.recompute', { queue, id: 'def', delay: '1s', expires: '1h' });
    await eventually(() => expect(Date.now()).to.be.above(expires));
    await app.worker({ queues: [stage.queue] }).start();
    await eventually(async () => expect(await stage.ready(queue)).to.equal(1));
    await eventually(() => expect(expired).to.have.length(1));
    const task = { task: 'loans.tasks.recompute', id: 'abc', key: undefined, queue, attempt: 1 };
    expect(expired[0]).to.deep.equal({ ...task, expires });
    expect((await stage.messages(queue)).map(({ headers }) => headers['id'])).to.deep.equal(['def']);
    await stage.removeQueue(queue);
  });

  it('refuses what would stop a worker or reach nobody, and publishes nothing', async () => {
    const queue = uniqueName('nobodys');
    const app = stage.app([Loans]);
    const calls: [() => Promise<unknown>, string, RegExp][] = [
      [() => app.send('loans.tasks.recompute'), 'CONFIG', /needs a queue/],
      [() => app.send('loans.tasks.recompute', { queue }), 'CONFIG', /there is no queue/],
      [() => app.send('loans.tasks.recompute', { queue, delay: '1h' }), 'CONFIG', /there is no queue/],
      [() => app.send('', { queue }), 'CONFIG', /task name of app\.send/],
      [() => app.send('x'.repeat(256), { queue }), 'CONFIG', /255 bytes/],
      [() => app.send('a', { queue, timeLimit: '7ms' }), 'CONFIG', /timeLimit of .* at least 1000 ms/],
      [() => app.send('a', { queue, timeLimit: { soft: '2s', hard: '1s' } }), 'CONFIG', /hard comes before soft/],
      [() => app.send('Loans.unused', { timeLimit: '1s' }), 'CONFIG', /limit in its @Task/],
      [() => app.send('a', { queue, args: [{ big: 1n }] }), 'PAYLOAD', /args\[0\]\.big is a bigint/],
      [() => app.send('a', { queue, kwargs: { at: new Map() } }), 'PAYLOAD', /kwargs\.at is a Map/],
    ];
    for (const [call, code, text] of calls) {
      const thrown = await refusal(call());
      expect(thrown).to.have.property('code', code);
      expect(thrown).to.have.property('message').that.matches(text);
    }
    await stage.declare(queue);
    expect(await app.send('loans.tasks.recompute', { queue })).to.include({ status: 'enqueued' });
    await stage.removeQueue(queue);
    expect(await refusal(app.send('loans.tasks.recompute', { queue }))).to.have.property('code', 'UNROUTABLE');
    expect(await refusal(app.send('loans.tasks.recompute', { queue }))).to.have.property('code', 'CONFIG');
  });
});
