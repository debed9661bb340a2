import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until `check` neither throws nor rejects, and resolves with what it returned; after `timeout` ms rejects with
 * its last error.
 */
export async function eventually<T>(check: () => T | Promise<T>, { timeout = 15_000 } = {}): Promise<T> {
  const end = performance.now() + timeout;
  for (let wait = 5; ; wait = Math.min(wait * 1.5, 100)) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() >= end) throw error;
    }
    await sleep(wait);
  }
}
