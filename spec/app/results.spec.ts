import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createApp, Task, type AppOptions } from 'solotask';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { systemClock } from '../../lib/clock.js';
import { thrownBy } from '../support/declare.js';
import { testRedisUrl } from '../support/servers.js';
import { rejection } from '../support/transports.js';

class Loans {
  @Task()
  async recompute(loanId: number) {
    return loanId;
  }
}

describe('where an app keeps results', () => {
  const made = (links: Partial<AppOptions>) => createApp({ broker: 'memory:', services: [Loans], ...links });

  it('is where its locks are, or the Redis it is given by URL or client', async () => {
    const client = new Redis(testRedisUrl(), { lazyConnect: true });
    const places: Partial<AppOptions>[] = [
      { locks: 'memory:', results: true },
      { locks: testRedisUrl(), results: true },
      { locks: [testRedisUrl()], results: true },
      { locks: client, results: true },
      { locks: 'memory:', results: testRedisUrl() },
      { locks: 'memory:', results: client },
    ];
    for (const links of places) {
      await using app = made(links);
      await app.worker().start();
      expect(await (await app.tasks(Loans).recompute(1)).result()).to.equal(1);
    }
    expect(client.status).to.equal('wait');
  });

  it('has to be said when the locks are no single place, and is refused without showing a password', async () => {
    const guard = createMemoryGuard({ clock: systemClock });
    await using app = made({ locks: guard, results: true });
    const error = await rejection(app.connect());
    expect(error).to.include({ code: 'CONFIG' }).and.have.property('message').that.contains("results: 'redis://");
    for (const results of ['memory:', 'http://u:secret@localhost', '', 1, {}, null]) {
      const thrown = thrownBy(() => made({ locks: 'memory:', results } as AppOptions));
      expect(thrown).to.have.property('code', 'CONFIG');
      expect(thrown).to.have.property('message').that.contains('redis://').and.does.not.contain('secret');
    }
    for (const results of [false, undefined] as const) {
      await using off = made({ locks: 'memory:', ...(results === undefined ? {} : { results }) });
      const receipt = await off.tasks(Loans).recompute(1);
      expect(await rejection(receipt.result())).to.have.property('code', 'RESULTS_DISABLED');
    }
  });

  it('is told at the first connect when nobody is there, and the links that were opened are closed', async () => {
    await using app = made({ locks: testRedisUrl(), results: 'redis://u:secret@127.0.0.1:1' });
    const error = await rejection(app.connect({ timeout: 300 }));
    expect(error).to.have.property('code', 'RESULTS_UNAVAILABLE');
    expect(error.message).to.not.contain('secret');
  });
});
