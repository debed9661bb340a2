import { stopped, survives } from '../support/broker-restarts.js';
import { startRabbit, type RabbitServer } from '../support/servers.js';

describe('RabbitMQ that restarts under load', () => {
  let rabbit: RabbitServer;
  beforeEach(async () => {
    rabbit = await startRabbit();
  });
  afterEach(() => rabbit.stop());

  // D4 (killed: broker-restarts.long.spec.ts)
  it('loses nothing when it was stopped in order: every call settles, and the worker consumes again by itself', async () => {
    await survives(rabbit, [stopped]);
  }).timeout(300_000);
});
