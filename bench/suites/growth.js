// How cost grows: with the keys that are held, and with the messages that wait.
import { startRedis } from '../../tools/servers.js';
import { QUEUE } from '../books.js';
import { fill, teach } from './throughput.js';

/** A Redis for each number of keys, so that a round can take them in turns. */
export async function flat(bench) {
  const { operations, levels, levelNames } = bench.sizes;
  const servers = await Promise.all(levels.map(() => startRedis()));
  const child = await bench.start('flat', { redisUrls: servers.map(({ url }) => url) });
  try {
    await bench.books.purge(QUEUE);
    for (const [level, keys] of levels.entries()) {
      bench.say(`flat cost: holding ${levelNames[level]}\n`);
      const value = await child.call('fill', { level, first: bench.numbers.take(keys), keys });
      bench.record('flat cost, Redis', levelNames[level], [{ value }]);
    }
    await bench.books.purge(QUEUE);
    await bench.rounds('flat cost, enqueue', async ({ turns, record }) => {
      for (const level of turns([...levels.keys()])) {
        const args = { level, first: bench.numbers.take(operations), operations };
        record('flat cost, enqueue', levelNames[level], await child.call('enqueue', args));
        await bench.books.expect(QUEUE, operations, 'flat cost, enqueue');
        await bench.books.purge(QUEUE);
        await child.call('forget', args);
      }
    });
  } finally {
    await child.end();
    await Promise.all(servers.map((server) => server.stop()));
  }
}

/** Does something in a fresh process of solotask's; gives the most memory that it held, MB. */
async function peak(bench, use) {
  const child = await bench.start('ours', {});
  try {
    await use(child);
    return { value: await child.call('peakMemory') };
  } finally {
    await child.end();
  }
}

async function wait(bench, messages) {
  await bench.books.purge(QUEUE);
  await fill(bench, messages);
}

export async function memory(bench) {
  const { operations, levels } = bench.sizes;
  const [many] = levels.slice(-1);
  const taken = Math.ceil(operations / 2);
  const row = 'memory, peak';
  const sip = (child) => child.call('sip', { operations: taken });
  const label = (who, messages, what) => `${who}, ${messages.toLocaleString('en')} ${what}`;
  await teach(bench, 'plain');
  await bench.rounds('memory', async ({ record }) => {
    const args = { method: 'plain', first: bench.numbers.take(operations), operations };
    record(row, label('producer', operations, 'enqueued'), await peak(bench, (child) => child.call('enqueue', args)));
    await wait(bench, operations);
    record(row, label('worker', operations, 'waiting'), await peak(bench, sip));
  });
  bench.say(`memory: enqueueing ${many.toLocaleString('en')}\n`);
  await wait(bench, many);
  await bench.rounds('memory, many waiting', async ({ record }) => {
    record(row, label('worker', many, 'waiting'), await peak(bench, sip));
  });
  await bench.books.purge(QUEUE);
}
