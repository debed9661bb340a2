import { expect } from 'chai';
import { Redis } from 'ioredis';
import { CeleryPeer, celeryRuns, CeleryWorker, PythonError } from '../support/celery.js';
import { testRedisUrl, uniqueName } from '../support/servers.js';

describe('the Celery of the specs', () => {
  const queue = uniqueName('celery');
  const peer = new CeleryPeer({ queue });
  const worker = new CeleryWorker({ queue });
  const redis = new Redis(testRedisUrl());
  before(() => worker.ready());
  after(async () => {
    redis.disconnect();
    await Promise.all([peer.close(), worker.end()]);
  });

  it('runs what its client sends, and tells how it ended', async () => {
    const id = await peer.ask<string>('call', { task: 'spec.add', how: 'delay', args: [1], kwargs: { b: 2 } });
    expect(await peer.ask('get', { id })).to.equal(3);
    const [run] = await celeryRuns(redis, queue);
    expect(run).to.deep.include({ task: 'spec.add', id, args: [1, 2], retries: 0 });
    const failed = await peer.ask<string>('send', { task: 'spec.fail', args: ['no'] });
    const raised = await peer.ask('get', { id: failed }).catch((error: unknown) => error);
    expect(raised).to.be.instanceOf(PythonError).and.include({ type: 'ValueError', message: 'no' });
  });
});
