// Bursts of events over few keys, and single tasks on an idle system: solotask and BullMQ.
import { QUEUE } from '../books.js';
import { verdict } from '../burst.js';
import { teach } from './throughput.js';

/** The same two ways on both sides: a change during the run may be missed, or is covered by one more run. */
const MODES = [
  { mode: 'discard', labels: { ours: 'solotask', bullmq: 'BullMQ' } },
  { mode: 'coalesce', labels: { ours: 'solotask, coalesce', bullmq: 'BullMQ, keepLastIfActive' } },
];

const present = ({ sides }) => ['ours', 'bullmq'].filter((name) => sides[name] !== undefined);

/** One burst of a side, whose worker is another process than its producer. */
async function playBurst({ books, sizes, sides }, { mode, name, worker }) {
  const { events, keys } = sizes;
  await worker.call('workBurst', { keys });
  const calls = await sides[name].child.call('callBurst', { mode, events, keys });
  const runs = await worker.call('endBurst', { expected: calls.accepted });
  await books.expect(QUEUE, 0, 'burst');
  return verdict(calls, runs, mode === 'coalesce');
}

export async function burst(bench) {
  const workers = {};
  try {
    for (const name of present(bench)) workers[name] = await bench.start(name, {});
    const entries = MODES.flatMap(({ mode, labels }) =>
      present(bench).map((name) => ({ mode, name, label: labels[name], worker: workers[name] })),
    );
    await bench.rounds(`burst of ${bench.sizes.events.toLocaleString('en')} events`, async ({ turns, record }) => {
      for (const entry of turns(entries)) {
        const { accepted, runs, quiet } = await playBurst(bench, entry);
        record('burst, events accepted', entry.label, accepted);
        record('burst, runs', entry.label, { value: runs });
        record('burst, time to quiet', entry.label, { value: quiet });
      }
    });
  } finally {
    await Promise.all(Object.values(workers).map((worker) => worker.end()));
  }
}

/** The floor says what of it is RabbitMQ's: a message through a quorum queue. */
const LATENCY = ['ours', 'floor', 'bullmq'];

export async function latency(bench) {
  await bench.books.purge(QUEUE);
  await teach(bench, 'plain');
  const names = LATENCY.filter((name) => bench.sides[name] !== undefined);
  await bench.rounds('latency, idle', async ({ turns, record }) => {
    for (const name of turns(names)) {
      const { child, label } = bench.sides[name];
      const { p50, p99 } = await child.call('latency', { count: bench.sizes.samples });
      record('latency, idle, p50', label, { value: p50 });
      record('latency, idle, p99', label, { value: p99 });
    }
  });
}
