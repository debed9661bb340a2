import { expect } from 'chai';
import { createApp, Task, taskContext, type TaskEvents } from 'solotask';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

const spin = (ms: number): void => {
  const end = performance.now() + ms;
  while (performance.now() < end);
};

describe('a worker with a heartbeat of 2 s', () => {
  const broker = `${testAmqpUrl()}?heartbeat=2`;
  const place = { broker, locks: testRedisUrl(), namespace: uniqueName('heartbeat') };

  // wire.md: computation on the main thread stops heartbeats
  it('warns of a body that blocks the loop for 10 s, naming it; RabbitMQ delivers the message again', async () => {
    const queue = uniqueName('queue');
    const starts: string[] = [];
    const block = (name: string): void => {
      const { redelivered } = taskContext();
      starts.push(`${name} ${redelivered}`);
      if (!redelivered) spin(10_000);
    };
    class Loans {
      @Task({ queue })
      async sum() {
        block('sum');
      }

      @Task({ queue, unique: 'loan:<loanId>' })
      async simulate(loanId: number) {
        block(`loan ${loanId}`);
      }
    }
    await using app = createApp({ ...place, services: [Loans] });
    const warnings: TaskEvents['loop:blocked'][] = [];
    const recovered: string[] = [];
    app.on('loop:blocked', (event) => warnings.push(event));
    app.on('task:succeeded', (event) => event.recovered && recovered.push(event.task));
    await app.worker({ concurrency: 1 }).start();
    await app.tasks(Loans).sum();
    await eventually(() => expect(starts).to.deep.equal(['sum false', 'sum true']), { timeout: 30_000 });
    expect(warnings[0]?.tasks).to.deep.equal(['Loans.sum']);
    expect(warnings[0]?.seconds).to.be.above(9);
    // A task with a key is found done, when it came to its end before anybody else had the key.
    await app.tasks(Loans).simulate(7);
    await eventually(() => expect(recovered).to.deep.equal(['Loans.simulate']), { timeout: 30_000 });
    expect(starts.slice(2)).to.deep.equal(['loan 7 false']);
    expect(warnings.at(-1)?.tasks).to.include('Loans.simulate');
  }).timeout(90_000);
});
