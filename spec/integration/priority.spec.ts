import { expect } from 'chai';
import { createApp, Task } from 'solotask';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

describe('a classic queue with priorities, on RabbitMQ', () => {
  it('gives the task or the call of the highest priority first', async () => {
    const queue = uniqueName('queue');
    const ran: string[] = [];
    class Loans {
      @Task({ queue, priority: 1 })
      async recompute(name: string) {
        ran.push(name);
      }
    }
    const queues = { [queue]: { type: 'classic', maxPriority: 5 } } as const;
    const links = { broker: testAmqpUrl(), locks: testRedisUrl(), namespace: uniqueName('ns') };
    await using app = createApp({ ...links, queues, services: [Loans] });
    await app.tasks(Loans).recompute('low');
    await app.tasks(Loans, { priority: 3 }).recompute('middle');
    await app.tasks(Loans, { priority: 5 }).recompute('high');
    await app.worker({ concurrency: 1, prefetch: 1 }).start();
    await eventually(() => expect(ran).to.deep.equal(['high', 'middle', 'low']));
  });
});
