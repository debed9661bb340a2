import amqplib from 'amqplib';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createApp, Task } from 'solotask';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

describe('what stands in RabbitMQ and Redis between enqueue and run, by the bare drivers', () => {
  it('is one Celery message in the queue and one record with an expiry', async () => {
    const queue = uniqueName('queue');
    const namespace = uniqueName('ns');
    class Loans {
      @Task({ name: 'loans.recompute', queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = createApp({ broker: testAmqpUrl(), locks: testRedisUrl(), services: [Loans], namespace });
    const { id } = await app.tasks(Loans).recompute(42);
    await app.tasks(Loans).recompute(42);
    await app.close();

    const connection = await amqplib.connect(testAmqpUrl());
    const channel = await connection.createChannel();
    const message = await channel.get(queue, { noAck: true });
    const another = await channel.get(queue, { noAck: true });
    await channel.close();
    await connection.close();
    if (message === false) throw new Error('no message');
    expect(another).to.equal(false);
    expect(JSON.parse(message.content.toString())).to.deep.equal([
      [42],
      {},
      { callbacks: null, errbacks: null, chain: null, chord: null },
    ]);
    expect(message.properties).to.include({
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      deliveryMode: 2,
      correlationId: id,
    });
    const headers = message.properties.headers ?? {};
    expect(headers).to.include({ lang: 'js', task: 'loans.recompute', id, root_id: id, retries: 0 });
    expect(headers).to.include({ lock_key: 'loan:42', lock_mode: 'enqueue', attempt: 1 });
    expect(headers['timelimit']).to.deep.equal([null, null]);
    expect(headers['copy']).to.be.a('string').with.lengthOf.within(1, 12);

    const redis = new Redis(testRedisUrl());
    const key = `${namespace}:lock:loans.recompute:loan:42`;
    const record = await redis.hgetall(key);
    expect(record).to.include({ o: id, p: 'q', f: headers['lock_fence'], s: headers['lock_fence'] });
    expect(await redis.pttl(key)).to.be.within(1_190_000, 1_200_000);
    expect(await redis.memory('USAGE', key)).to.be.at.most(256);
    expect(await redis.keys(`${namespace}:*`)).to.deep.equal([key]);
    await redis.quit();
  });

  it('is a record that says done, and no owner, after the run', async () => {
    const queue = uniqueName('queue');
    const namespace = uniqueName('ns');
    class Loans {
      @Task({ name: 'loans.recompute', queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = createApp({ broker: testAmqpUrl(), locks: testRedisUrl(), services: [Loans], namespace });
    const { id } = await app.tasks(Loans).recompute(42);
    await app.worker().start();
    const redis = new Redis(testRedisUrl());
    const key = `${namespace}:lock:loans.recompute:loan:42`;
    const record = await eventually(async () => {
      const found = await redis.hgetall(key);
      expect(found).to.not.have.property('o');
      return found;
    });
    expect(record).to.include({ d: id }).and.to.have.keys('d', 'u', 'v', 'f');
    expect(await redis.pttl(key)).to.be.within(590_000, 600_000);
    await app.close();
    await redis.quit();
  });
});
