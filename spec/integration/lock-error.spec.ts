import { expect } from 'chai';
import { Task, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { startRedis, type Server } from '../support/servers.js';
import { onEveryStage } from '../support/stage.js';

const refusal = (call: Promise<unknown>): Promise<unknown> => call.catch((error: unknown) => error);

onEveryStage('enqueueing while Redis is away', (stage) => {
  let redis: Server;
  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(() => redis.stop());

  // E7
  it('refuses and publishes nothing, or publishes without the lock, and still runs one at a time', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue, unique: 'loan:<loanId>' })
      async strict(loanId: number) {
        return loanId;
      }

      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', onLockError: 'publish' } })
      async recompute(loanId: number) {
        await gate.pass();
        return loanId;
      }
    }
    const app = stage.app([Loans], { locks: redis.url });
    const enqueued: TaskEvents['task:enqueued'][] = [];
    const dropped: TaskEvents['task:discarded'][] = [];
    app.on('task:enqueued', (event) => enqueued.push(event));
    app.on('task:discarded', (event) => dropped.push(event));
    await app.connect();
    await redis.kill();
    expect(await refusal(app.tasks(Loans).strict(1))).to.have.property('code', 'LOCK_UNAVAILABLE');
    expect(await stage.ready()).to.equal(0);
    const first = await app.tasks(Loans).recompute(1);
    const second = await app.tasks(Loans).recompute(1);
    expect([first.status, second.status]).to.deep.equal(['enqueued', 'enqueued']);
    expect(enqueued.map(({ unguarded }) => unguarded)).to.deep.equal([true, true]);
    await eventually(async () => expect(await stage.ready()).to.equal(2));
    await redis.restart();
    await eventually(() => app.connect());
    await app.worker().start();
    await eventually(() => expect(dropped).to.have.length(1));
    expect(dropped[0]).to.deep.include({ side: 'worker', reason: 'running', key: 'loan:1' });
    expect(gate.arrivals).to.equal(1);
    gate.open();
    await eventually(async () => expect((await app.tasks(Loans).recompute(1)).status).to.equal('enqueued'));
    expect(enqueued.at(-1)).to.include({ unguarded: false });
  });

  // E7
  it('publishes without the lock when Redis hangs, or was never there, well within publishTimeout', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: { key: 'loan:<loanId>', onLockError: 'publish' } })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans], { locks: redis.url });
    await app.tasks(Loans).recompute(1);
    await redis.kill('SIGSTOP');
    const asked = Date.now();
    expect(await app.tasks(Loans).recompute(2)).to.include({ status: 'enqueued' });
    await redis.kill('SIGCONT');
    await redis.kill();
    const late = stage.app([Loans], { locks: redis.url });
    expect(await late.tasks(Loans).recompute(3)).to.include({ status: 'enqueued' });
    expect(Date.now() - asked).to.be.below(8_000);
    const refused = await refusal(late.connect({ timeout: 300 }));
    expect(refused).to.have.property('code', 'LOCK_UNAVAILABLE');
    await eventually(async () => expect(await stage.ready()).to.equal(3));
  });
});
