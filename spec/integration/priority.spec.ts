import { expect } from 'chai';
import { createApp, Task, taskContext, type AppOptions } from 'solotask';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

/** One namespace for all: each has some twenty queues. */
const namespace = uniqueName('ns');
const PLACES: Readonly<Record<string, () => Pick<AppOptions, 'broker' | 'locks'>>> = {
  'in memory': () => ({ broker: 'memory:', locks: 'memory:' }),
  'on RabbitMQ': () => ({ broker: testAmqpUrl(), locks: testRedisUrl() }),
};

for (const [place, links] of Object.entries(PLACES)) {
  describe(`a classic queue with priorities, ${place}`, () => {
    const fresh = (): { queue: string; options: Omit<AppOptions, 'services'> } => {
      const queue = uniqueName('queue');
      const queues = { [queue]: { type: 'classic', maxPriority: 5 } } as const;
      return { queue, options: { ...links(), namespace, queues } };
    };

    it('gives the task or the call of the highest priority first', async () => {
      const { queue, options } = fresh();
      const ran: string[] = [];
      class Loans {
        @Task({ queue, priority: 1 })
        async recompute(name: string) {
          ran.push(name);
        }
      }
      await using app = createApp({ ...options, services: [Loans] });
      await app.tasks(Loans).recompute('low');
      await app.tasks(Loans, { priority: 3 }).recompute('middle');
      await app.tasks(Loans, { priority: 5 }).recompute('high');
      await app.worker({ concurrency: 1, prefetch: 1 }).start();
      await eventually(() => expect(ran).to.deep.equal(['high', 'middle', 'low']));
    });

    it('keeps the priority of a retry', async () => {
      const { queue, options } = fresh();
      const ran: string[] = [];
      class Loans {
        @Task({ queue, retry: { attempts: 2, delay: 1, jitter: false } })
        async recompute(name: string) {
          ran.push(`${name} ${taskContext().attempt}`);
          if (name === 'high' && taskContext().attempt === 1) throw new Error('once more');
        }
      }
      await using app = createApp({ ...options, services: [Loans] });
      for (const name of ['first', 'second']) await app.tasks(Loans).recompute(name);
      await app.tasks(Loans, { priority: 5 }).recompute('high');
      await app.worker({ concurrency: 1, prefetch: 1 }).start();
      await eventually(() => expect(ran).to.deep.equal(['high 1', 'high 2', 'first 1', 'second 1']));
    });
  });
}

describe('a priority', () => {
  it('is warned of where the queue of its task has none, and nowhere else', () => {
    class Loans {
      @Task({ queue: 'plain', priority: 5 })
      async urgent() {}
      @Task({ queue: 'plain', priority: 0 })
      async usual() {}
      @Task({ queue: 'ranked', priority: 5 })
      async ranked() {}
      @Task({ queue: 'celery', priority: 5 })
      async theirs() {}
    }
    const queues = { ranked: { type: 'classic', maxPriority: 9 }, celery: { passive: true } } as const;
    const { warnings } = createApp({ queues, services: [Loans] });
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.match(/^Loans\.urgent: its priority \(5\) .*'plain'.*type: 'classic', maxPriority: 9/);
  });
});
