import { setImmediate } from 'node:timers/promises';

/** Mocha lets a rejection that nobody handles pass; in a user's process it is the end. */
const unhandled: unknown[] = [];
process.on('unhandledRejection', (reason) => void unhandled.push(reason));

export const mochaHooks = {
  async afterEach(): Promise<void> {
    await setImmediate();
    const [reason] = unhandled.splice(0);
    if (reason !== undefined) throw new Error('a rejection that nobody handled', { cause: reason });
  },
};
