import amqplib from 'amqplib';
import { Redis } from 'ioredis';
import { createApp } from 'solotask';
import type { Servers } from '#servers';
import { Books } from './books.js';
import { Chaos, QUEUE, RECIPES } from './service.js';

/** Messages in the work queue and in all of the delay queues. */
export async function waiting({ rabbit: [rabbit] }: Servers): Promise<number> {
  const listed = (await rabbit?.ctl('--quiet', 'list_queues', 'name', 'messages')) ?? '';
  return listed
    .split('\n')
    .map((line) => line.trim().split('\t'))
    .filter(([name = '']) => !name.endsWith('.dead'))
    .reduce((sum, [, count]) => sum + (Number(count) || 0), 0);
}

/** The task ids of the dead letters, which are taken. */
export async function deadLetters({ amqpUrl }: Servers): Promise<Set<string>> {
  const connection = await amqplib.connect(amqpUrl);
  const channel = await connection.createChannel();
  const ids = new Set<string>();
  for (;;) {
    const message = await channel.get(`${QUEUE}.dead`, { noAck: true });
    if (message === false) break;
    ids.add(String(message.properties.headers?.['id']));
  }
  await connection.close();
  return ids;
}

/** Every key once more, when nobody holds any: tells which are held all the same. */
export async function calmRound({ amqpUrl, redisUrls }: Servers, folder: string, keys: number): Promise<string[]> {
  const books = new Books(folder, 'calm');
  const service = new Chaos(books, 'calm');
  await using app = createApp({ broker: amqpUrl, locks: redisUrls, namespace: 'chaos', services: [service] });
  const held: string[] = [];
  for (const recipe of RECIPES) {
    for (let key = 0; key < keys; key++) {
      const version = books.called(`${recipe} ${key}`);
      const { status, id, holder } = await app.tasks(Chaos)[recipe](`${key}`, version);
      books.returned(version, status, id, holder?.phase ?? null);
      if (status !== 'enqueued') held.push(`${recipe} ${key} is held at rest by ${id} (${holder?.phase})`);
    }
  }
  books.close();
  return held;
}

/** Keys in Redis that would never go away. */
export async function immortalKeys({ redisUrls }: Servers): Promise<string[]> {
  const found: string[] = [];
  for (const url of redisUrls) {
    const redis = new Redis(url);
    for (const key of await redis.keys('*')) {
      if ((await redis.pttl(key)) === -1) found.push(`${key} has no expiry at ${url}`);
    }
    await redis.quit();
  }
  return found;
}
