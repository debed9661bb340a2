import { expect } from 'chai';
import { startRabbit, testRedisUrl, uniqueName } from '../support/servers.js';
import { fixture, TaskWorkerProcess } from './task-worker-process.js';

describe('task-worker run whose login is refused while it runs', () => {
  it('says so and ends with 1, for its supervisor to notice', async function () {
    this.timeout(60_000);
    const rabbit = await startRabbit();
    const env = {
      AMQP_URL: rabbit.url,
      REDIS_URL: testRedisUrl(),
      SPEC_QUEUE: 'cli',
      SPEC_NAMESPACE: uniqueName('ns'),
    };
    const worker = new TaskWorkerProcess(['-a', fixture('app')], env);
    try {
      await worker.hears('worker:ready');
      await rabbit.ctl('change_password', 'guest', 'another');
      await rabbit.ctl('close_all_connections', 'the spec');
      expect(await worker.hears('worker:crashed'))
        .to.have.property('msg')
        .that.matches(/RabbitMQ refuses this worker/);
      expect(await worker.ended).to.include({ code: 1 });
    } finally {
      await worker.kill();
      await rabbit.stop();
    }
  });
});
