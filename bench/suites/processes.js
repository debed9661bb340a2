// Several workers on one queue, each a process of its own.
import { QUEUE } from '../books.js';
import { fill, teach } from './throughput.js';

const WORKERS = [1, 2, 4];
const ROW = 'work, by worker processes';

const label = (count) => `${count} worker${count === 1 ? '' : 's'}`;

/** All of them work until the queue is empty: the rate of all together. Each task ran exactly once, in one of them. */
async function share(workers, { first, operations }) {
  const parts = await Promise.all(workers.map((worker) => worker.call('drain', { first, operations })));
  for (let i = 0; i < operations; i++) {
    const runs = parts.reduce((sum, part) => sum + part.runs[i], 0);
    if (runs !== 1) throw new Error(`${ROW}: the task ${first + i} ran ${runs} times`);
  }
  const active = parts.filter(({ begin }) => begin !== undefined);
  const [begins, ends] = [active.map(({ begin }) => begin), active.map(({ end }) => end)];
  return { value: (operations * 1000) / (Math.max(...ends) - Math.min(...begins)) };
}

export async function processes(bench) {
  const workers = [];
  try {
    while (workers.length < Math.max(...WORKERS)) workers.push(await bench.start('ours', {}));
    await bench.books.purge(QUEUE);
    await teach(bench, 'plain');
    await bench.rounds(ROW, async ({ turns, record }) => {
      for (const count of turns(WORKERS)) {
        const task = await fill(bench, bench.sizes.operations);
        record(ROW, label(count), await share(workers.slice(0, count), task));
        await bench.books.expect(QUEUE, 0, ROW);
      }
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.end()));
  }
}
