import { killed, stopped, survives } from '../support/broker-restarts.js';
import { startRabbit, type RabbitServer } from '../support/servers.js';

describe('RabbitMQ that restarts again and again under load', () => {
  let rabbit: RabbitServer;
  before(async () => {
    rabbit = await startRabbit();
  });
  after(() => rabbit.stop());

  // D4
  it('loses nothing, whether it is killed or stopped', async () => {
    await survives(rabbit, [killed, stopped, killed, killed, stopped]);
  }).timeout(1_200_000);
});
