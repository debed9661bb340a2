// Bursts of events over few keys, and single tasks on an idle system: solotask and BullMQ.
import { QUEUE } from '../books.js';

/** The same two ways on both sides: a change during the run may be missed, or is covered by one more run. */
const MODES = [
  { mode: 'discard', labels: { ours: 'solotask', bullmq: 'BullMQ' } },
  { mode: 'coalesce', labels: { ours: 'solotask, coalesce', bullmq: 'BullMQ, keepLastIfActive' } },
];

const present = ({ sides }) => ['ours', 'bullmq'].filter((name) => sides[name] !== undefined);

export async function burst(bench) {
  const { events, keys } = bench.sizes;
  const entries = MODES.flatMap(({ mode, labels }) =>
    present(bench).map((name) => ({ mode, name, label: labels[name] })),
  );
  await bench.rounds(`burst of ${events.toLocaleString('en')} events`, async ({ turns, record }) => {
    for (const { mode, name, label } of turns(entries)) {
      const { accepted, runs, quiet } = await bench.sides[name].child.call('burst', { mode, events, keys });
      await bench.books.expect(QUEUE, 0, 'burst');
      record('burst, events accepted', label, accepted);
      record('burst, runs', label, { value: runs });
      record('burst, time to quiet', label, { value: quiet });
    }
  });
}

export async function latency(bench) {
  await bench.rounds('latency, idle', async ({ turns, record }) => {
    for (const name of turns(present(bench))) {
      const { child, label } = bench.sides[name];
      const { p50, p99 } = await child.call('latency', { count: bench.sizes.samples });
      record('latency, idle, p50', label, { value: p50 });
      record('latency, idle, p99', label, { value: p99 });
    }
  });
}
