import amqplib from 'amqplib';
import { expect } from 'chai';
import { join } from 'node:path';
import { NodeProcess, ROOT, runNode } from '../support/doc-examples.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl } from '../support/servers.js';

const sample = (path: string): string[] => [join(ROOT, 'dist/samples', path)];
const onServers = () => ({ AMQP_URL: testAmqpUrl(), REDIS_URL: testRedisUrl() });

async function removeQueues(...names: string[]): Promise<void> {
  const connection = await amqplib.connect(testAmqpUrl());
  const channel = await connection.createChannel();
  for (const name of names) for (const queue of [name, `${name}.dead`]) await channel.deleteQueue(queue);
  await connection.close();
}

describe('samples of containers', () => {
  after(() => removeQueues('nest-sample', 'tsyringe-sample'));

  for (const [where, env] of [['memory parts', () => ({})] as const, ['RabbitMQ and Redis', onServers] as const]) {
    it(`tsyringe injects what a task's service needs, on ${where}`, async () => {
      const { code, output } = await runNode(sample('tsyringe/main.js'), ROOT, env());
      expect(output).to.equal('loan 42 enqueued\nloan 42 discarded\nloan 42 at 3.5 %\n');
      expect(code).to.equal(0);
    });

    it(`Nest gives its providers to the worker, and its shutdown hook ends it, on ${where}`, async () => {
      const nest = new NodeProcess(sample('nest/main.js'), ROOT, { NO_COLOR: '1', ...env() });
      try {
        await eventually(() => expect(nest.output).to.match(/\[LoanService\] loan 42 at 3\.5 %/), { timeout: 15_000 });
        await eventually(() => expect(nest.output).to.match(/^ready$/m));
      } finally {
        await nest.end('SIGTERM');
      }
      const { output } = await nest.ended;
      expect(output.match(/^loan 42 .*/gm)).to.deep.equal(['loan 42 enqueued', 'loan 42 discarded']);
      expect(output).to.not.match(/error/i);
    });
  }
});
