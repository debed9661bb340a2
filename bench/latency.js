// From the call of an enqueue to the first line of its body, one task at a time, on any side.
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

/** Not counted. */
const WARM = 50;
/** ms between two tasks: everybody waits for the next one. */
const GAP = 2;

/** `enqueue` gets the number of a task, and what its body has to call. ms. */
export async function latencies(count, enqueue) {
  const taken = [];
  for (let i = 0; i < WARM + count; i++) {
    let at;
    let begun;
    const started = new Promise((resolve) => (begun = resolve));
    const begin = performance.now();
    await enqueue(i, () => {
      at = performance.now();
      begun();
    });
    await started;
    if (i >= WARM) taken.push(at - begin);
    await sleep(GAP);
  }
  taken.sort((a, b) => a - b);
  const percentile = (share) => taken[Math.ceil(share * taken.length) - 1];
  return { p50: percentile(0.5), p99: percentile(0.99) };
}
