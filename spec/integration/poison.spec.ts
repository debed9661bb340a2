import amqplib from 'amqplib';
import { expect } from 'chai';
import { createApp, Task } from 'solotask';
import { fileURLToPath } from 'node:url';
import { MOST_CRASHES } from '../../lib/worker/crashes.js';
import { Child } from '../support/child.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

describe('a message that kills every worker', () => {
  const file = fileURLToPath(new URL('./fixtures/poison.js', import.meta.url));
  const namespace = uniqueName('ns');
  let child: Child | undefined;
  afterEach(() => child?.kill());

  for (const recipe of ['plain', 'guarded']) {
    it(`goes to the dead letters, and takes no bystander along (${recipe})`, async () => {
      const queue = uniqueName('queue');
      class Loans {
        @Task({ queue, name: 'loans.recompute' })
        async recompute(_loanId: number) {}
      }
      await using app = createApp({ broker: testAmqpUrl(), locks: testRedisUrl(), namespace, services: [Loans] });
      // All of them are in the prefetch of each worker that dies.
      const poison = await app.tasks(Loans).recompute(0);
      for (let loanId = 1; loanId <= 5; loanId++) await app.tasks(Loans).recompute(loanId);
      const env = { AMQP: testAmqpUrl(), REDIS: testRedisUrl(), NAMESPACE: namespace, QUEUE: queue, RECIPE: recipe };
      let deaths = 0;
      const worked: unknown[] = [];
      for (let dead: readonly object[] = []; dead.length === 0;) {
        const one = new Child(file, env);
        child = one;
        const end = await Promise.race([one.gone(), one.hears('dead', 1, 60_000).then(() => undefined)]);
        if (end !== undefined) deaths++;
        dead = one.said('dead');
        if (dead.length > 0) await one.hears('worked', 5 - worked.length);
        worked.push(...one.said('worked').map(({ loanId }) => loanId));
        expect(deaths).to.be.at.most(MOST_CRASHES + 1);
        if (dead.length > 0) expect(dead).to.deep.equal([{ event: 'dead', id: poison.id, code: 'POISON' }]);
      }
      // The first crash is not counted: nobody knows whether a first delivery began.
      expect(deaths).to.equal(MOST_CRASHES + 1);
      expect(worked).to.have.members([1, 2, 3, 4, 5]);
      const connection = await amqplib.connect(testAmqpUrl());
      const channel = await connection.createChannel();
      const letter = await channel.get(`${queue}.dead`, { noAck: true });
      expect(letter)
        .to.have.nested.property('properties.headers')
        .that.includes({ dead_code: 'POISON', id: poison.id });
      expect(await channel.get(`${queue}.dead`)).to.equal(false);
      await connection.close();
    }).timeout(120_000);
  }
});
