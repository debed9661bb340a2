import { connect } from 'amqplib';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { eventually } from './eventually.js';
import { startRedis, startRabbit, testAmqpUrl, testRedisUrl, uniqueName, type Server } from './servers.js';

const runs = (pid: number | undefined): boolean => {
  try {
    return pid !== undefined && process.kill(pid, 0);
  } catch {
    return false;
  }
};

async function onRedis<T>(url: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(url, { maxRetriesPerRequest: 0, retryStrategy: () => null });
  redis.on('error', () => {});
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

const ping = (url: string): Promise<string> => onRedis(url, (redis) => redis.ping());

/** What is in `queue`, which is declared if need be. */
async function messagesIn(url: string, queue: string): Promise<number> {
  const connection = await connect(url);
  const channel = await connection.createChannel();
  const { messageCount } = await channel.assertQueue(queue, { durable: true });
  await connection.close();
  return messageCount;
}

describe('the test servers', () => {
  it('answer a raw Redis client and a raw AMQP client', async () => {
    expect(await ping(testRedisUrl())).to.equal('PONG');
    expect(await messagesIn(testAmqpUrl(), uniqueName('servers'))).to.equal(0);
  });

  it('leave no process behind when they are stopped', async () => {
    const redis = await startRedis();
    const { pid, url } = redis;
    expect(runs(pid)).to.equal(true);
    await redis.stop();
    expect(runs(pid)).to.equal(false);
    expect(await ping(url).catch(() => 'gone')).to.equal('gone');
  });

  it('come back on the same port after a kill, Redis without its memory', async () => {
    const redis = await startRedis();
    await onRedis(redis.url, (client) => client.set('key', 'value'));
    await redis.kill();
    expect(await ping(redis.url).catch(() => 'gone')).to.equal('gone');
    await redis.restart();
    expect(await onRedis(redis.url, (client) => client.get('key'))).to.equal(null);
    await redis.stop();
  });

  it('keep queues over a kill of RabbitMQ', async () => {
    const rabbit = await startRabbit();
    await messagesIn(rabbit.url, 'kept');
    await rabbit.kill();
    await rabbit.restart();
    // It answers before its queues are all there again.
    await eventually(async () => expect(await rabbit.ctl('--quiet', 'list_queues', 'name')).to.contain('kept'));
    await rabbit.stop();
  }).timeout(60_000);

  it('end with the process that started them, even when that is killed', async () => {
    const script = `import('#servers').then(async ({ startRedis }) => {
      console.log(JSON.stringify(await startRedis().then(({ pid, url }) => ({ pid, url }))));
      setInterval(() => {}, 1000);
    })`;
    const parent = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const { url } = JSON.parse(line.toString()) as Pick<Server, 'url'>;
    expect(await ping(url)).to.equal('PONG');
    parent.kill('SIGKILL');
    await eventually(async () => expect(await ping(url).catch(() => 'gone')).to.equal('gone'));
  });
});
