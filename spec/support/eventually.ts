import { pause, systemClock } from '../../lib/clock.js';

/** Retries `check` until it does not throw; its last error after `timeout` ms. */
export async function eventually(check: () => unknown, { timeout = 5000 } = {}): Promise<void> {
  const end = systemClock.monotonic() + timeout;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (systemClock.monotonic() > end) throw error;
      await pause(systemClock, 10);
    }
  }
}
