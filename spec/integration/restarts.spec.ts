import { expect } from 'chai';
import { Task, taskContext } from 'solotask';
import { MOST_CRASHES } from '../../lib/worker/crashes.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { onEveryStage } from '../support/stage.js';

const OFTEN = MOST_CRASHES + 3;

onEveryStage('a message whose worker is restarted again and again', (stage) => {
  class Bodies {
    readonly gate = new Gate();
    begun = 0;
    async run(): Promise<void> {
      this.begun++;
      const { signal } = taskContext();
      await Promise.race([this.gate.pass(), new Promise((resolve) => signal.addEventListener('abort', resolve))]);
    }
  }

  it('is no poison, whether its body had begun or it waited for a seat', async () => {
    const bodies = new Bodies();
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(_loanId: number) {
        await bodies.run();
      }
    }
    const app = stage.app([Loans]);
    const dead = stage.count(app, 'task:dead');
    const ended = stage.count(app, 'task:succeeded');
    await app.tasks(Loans).recompute(1);
    await app.tasks(Loans).recompute(2);
    for (let i = 1; i <= OFTEN; i++) {
      const worker = app.worker({ concurrency: 1 });
      await worker.start();
      await eventually(() => expect(bodies.begun).to.equal(i));
      await worker.stop({ timeout: 0 });
    }
    bodies.gate.open();
    await app.worker().start();
    await eventually(() => expect(ended.total).to.equal(2));
    expect(dead.total).to.equal(0);
  });

  it('is no poison when it is the link that is lost', async () => {
    const bodies = new Bodies();
    class Loans {
      @Task({ queue: stage.queue })
      async recompute(_loanId: number) {
        await bodies.run();
      }
    }
    const app = stage.app([Loans]);
    const dead = stage.count(app, 'task:dead');
    const ended = stage.count(app, 'task:succeeded');
    await app.worker().start();
    await app.tasks(Loans).recompute(1);
    for (let i = 1; i <= OFTEN; i++) {
      await eventually(() => expect(bodies.begun).to.equal(i), { timeout: 10_000 });
      await stage.dropConnections();
    }
    bodies.gate.open();
    await eventually(() => expect(ended.total).to.equal(1), { timeout: 10_000 });
    expect(dead.total).to.equal(0);
  }).timeout(60_000);
});
