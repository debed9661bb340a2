import { expect } from 'chai';
import { createApp, Task, taskContext, type App, type TaskError } from 'solotask';
import { fileURLToPath } from 'node:url';
import { pause, systemClock } from '../../lib/clock.js';
import { Child } from './child.js';
import { eventually } from './eventually.js';
import { startRabbit, testRedisUrl, uniqueName, type RabbitServer } from './servers.js';

/**
 * Specs on a broker of their own that takes back what is not acknowledged within `timeout` ms, with runs of `run` ms, which
 * is longer.
 */
export function onImpatientBroker(timeout: number, run: number): void {
  describe(`on a broker that waits ${timeout / 1000} s for an acknowledgement`, function () {
    this.timeout(run * 4 + 60_000);
    const fixture = fileURLToPath(new URL('../integration/fixtures/mortal.js', import.meta.url));
    const children: Child[] = [];
    let rabbit: RabbitServer;
    const namespace = uniqueName('ns');
    before(async () => {
      rabbit = await startRabbit({ config: [`consumer_timeout = ${timeout}`] });
      // How often a channel looks at its deliveries: once a minute, unless told otherwise.
      await rabbit.ctl('eval', 'application:set_env(rabbit, channel_tick_interval, 1000).');
    });
    after(() => rabbit.stop());
    afterEach(() => Promise.all(children.splice(0).map((child) => child.kill())));

    const open = (service: abstract new () => object): App =>
      createApp({ broker: rabbit.url, locks: testRedisUrl(), namespace, services: [service] });
    const body = (): Promise<void> => pause(systemClock, run, taskContext().signal);

    it('a run that takes longer loses its delivery, is aborted, and begins again', async () => {
      const reasons: string[] = [];
      let begun = 0;
      class Loans {
        @Task({ queue: uniqueName('queue') })
        async recompute(loanId: number) {
          begun++;
          await body();
          if (taskContext().signal.aborted) reasons.push((taskContext().signal.reason as TaskError).code);
          return loanId;
        }
      }
      await using app = open(Loans);
      await app.worker().start();
      await app.tasks(Loans).recompute(1);
      await eventually(() => expect(begun).to.equal(2), { timeout: run * 2 });
      expect(reasons).to.deep.equal(['DELIVERY_LOST']);
    });

    it('a long one runs once, and so does one that waits for its seat meanwhile', async () => {
      const began: number[] = [];
      let aborted = 0;
      class Loans {
        @Task({ queue: uniqueName('queue'), long: '1s' })
        async recompute(loanId: number) {
          began.push(loanId);
          await body();
          aborted += Number(taskContext().signal.aborted);
          return loanId;
        }
      }
      await using app = open(Loans);
      let ended = 0;
      app.on('task:succeeded', () => ended++);
      await app.worker({ concurrency: 1 }).start();
      await app.tasks(Loans).recompute(1);
      await app.tasks(Loans).recompute(2);
      await eventually(() => expect(ended).to.equal(2), { timeout: run * 4 });
      expect(began).to.deep.equal([1, 2]);
      expect(aborted).to.equal(0);
    });

    it('a long one whose worker is killed runs again when its stand-in comes back', async () => {
      const start = async (env: Record<string, string>, event: string): Promise<Child> => {
        const links = { AMQP: rabbit.url, REDIS: testRedisUrl(), NAMESPACE: namespace, QUEUE: `${namespace}-killed` };
        const child = new Child(fixture, { ...links, LOAN: '1', LEASE: '1s', LONG: '2s', ...env });
        children.push(child);
        await child.hears(event, 1, 20_000);
        return child;
      };
      const first = await start({ ROLE: 'worker', BODY: 'hold' }, 'ready');
      await start({ ROLE: 'producer', CALLS: '1' }, 'receipt');
      await first.hears('started');
      const second = await start({ ROLE: 'worker' }, 'ready');
      // Its message is acknowledged long since: nothing comes back by the link's end.
      await pause(systemClock, timeout);
      expect(second.said('started')).to.deep.equal([]);
      await first.kill('SIGKILL');
      const [again] = await second.hears('started', 1, 15_000);
      expect(again).to.include({ attempt: 1, redelivered: false });
      await second.hears('task:succeeded');
      expect(second.said('started')).to.have.length(1);
    });
  });
}
