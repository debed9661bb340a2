import { expect } from 'chai';
import { createApp, Task } from 'solotask';
import { eventually } from '../support/eventually.js';
import { startRedis } from '../support/servers.js';

class Loans {
  @Task({ unique: 'loan:<loanId>' })
  async recompute(loanId: number) {
    return loanId;
  }
}

describe('an app whose Redis', () => {
  it('goes away and comes back says so', async () => {
    const redis = await startRedis();
    const app = createApp({ broker: 'memory:', locks: redis.url, services: [Loans] });
    const told: (string | undefined)[] = [];
    app.on('redis:unavailable', ({ error }) => told.push(error?.name));
    try {
      await app.connect();
      expect(told).to.deep.equal([]);
      await redis.kill('SIGKILL');
      await eventually(() => expect(told).to.deep.equal(['LockUnavailableError']));
      await redis.restart();
      await eventually(() => expect(told).to.deep.equal(['LockUnavailableError', undefined]));
      expect(await app.tasks(Loans).recompute(1)).to.include({ status: 'enqueued' });
    } finally {
      await app.close();
      await redis.stop();
    }
  });

  it('may evict keys warns of it', async () => {
    const redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });
    const app = createApp({ broker: 'memory:', locks: redis.url, services: [Loans] });
    const warnings: string[] = [];
    app.on('redis:warning', ({ message }) => warnings.push(message));
    try {
      await app.connect();
      expect(warnings).to.have.length(1);
      expect(warnings[0]).to.contain('allkeys-lru').and.contain('noeviction');
    } finally {
      await app.close();
      await redis.stop();
    }
  });
});
