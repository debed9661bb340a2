import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import type { Guard } from '../../lib/guard.js';
import { createRedlockGuard } from '../../lib/guards/redlock.js';
import { fences } from './guards.js';
import { startRedis, type Server } from './servers.js';

/**
 * The most bytes of Redis's memory that one of many keys costs, its share of the tables included. A key that waits or
 * rests keeps to 256; a run adds its nonce and copy, and what is remembered of the last run stays beside the next.
 */
const BUDGET = { queued: 256, running: 288, free: 256, 'queued again': 320, 'running again': 352 };
/** Few enough for a busy machine to answer in time. */
const AT_ONCE = 100;

/** One loan, and who holds its key. */
interface Loan {
  readonly key: string;
  owner: string;
  seq: number;
  fence: number;
}

/** A key of 45 bytes each, and the arrows that lead through its life. */
class Loans {
  readonly #guard: Guard;
  readonly #loans: readonly Loan[];

  constructor(guard: Guard, count: number) {
    this.#guard = guard;
    this.#loans = Array.from({ length: count }, (_, i) => {
      return { key: `myapp:lock:LoanService.recompute:loan:${1_000_000 + i}`, owner: '', seq: 0, fence: 0 };
    });
  }

  get keys(): string[] {
    return this.#loans.map(({ key }) => key);
  }

  queue(): Promise<void> {
    return this.#each(async (loan) => {
      loan.owner = randomUUID();
      loan.seq = loan.fence = fences.next();
      const { key, owner, fence } = loan;
      await this.#guard.claimPublishing(key, { owner, fence, window: 5_000, expires: 0 });
      await this.#guard.confirm(key, loan, 3_600_000);
    });
  }

  run(): Promise<void> {
    return this.#each(async (loan) => {
      loan.fence = fences.next();
      const { key, owner, fence, seq } = loan;
      const ids = { nonce: randomUUID().slice(0, 8), copy: randomUUID().slice(24) };
      await this.#guard.claimRunning(key, { owner, fence, seq, ...ids, lease: 60_000, strategy: 'coalesce' });
    });
  }

  release(): Promise<void> {
    return this.#each(async (loan) => {
      let answer: string;
      do answer = await this.#guard.release(loan.key, loan, { seq: loan.seq, dead: false });
      while (answer === 'unknown');
      expect(answer).to.equal('ok');
    });
  }

  async #each(step: (loan: Loan) => Promise<void>): Promise<void> {
    for (let i = 0; i < this.#loans.length; i += AT_ONCE)
      await Promise.all(this.#loans.slice(i, i + AT_ONCE).map(step));
  }
}

/** A key's entry in the main table and its object, which MEMORY STATS counts with the table and MEMORY USAGE with the key. */
const COUNTED_TWICE = 40;

/** Bytes a key: what it and its value take, and its share of the two tables that have all keys. */
async function bytesPerKey(redis: Redis, keys: readonly string[]): Promise<number> {
  const usage = await Promise.all(keys.slice(0, 1_000).map((key) => redis.memory('USAGE', key)));
  const stats = (await redis.memory('STATS')) as unknown[];
  const tables = stats[stats.indexOf('db.0') + 1] as [string, number, string, number];
  const shared = (tables[1] + tables[3]) / keys.length - COUNTED_TWICE;
  return usage.reduce<number>((sum, bytes) => sum + Number(bytes), 0) / usage.length + shared;
}

/** Declares the measurement of so many keys, on a Redis of its own. */
export function recordCost(count: number, timeout: number): void {
  describe(`${count} keys in Redis`, () => {
    let server: Server;
    let redis: Redis;
    let guard: Guard;
    before(async () => {
      server = await startRedis();
      redis = new Redis(server.url);
      guard = createRedlockGuard({ nodes: [server.url], clock: systemClock });
      await guard.connect(5_000);
    });
    after(async () => {
      await guard.close();
      await redis.quit();
      await server.stop();
    });

    it('cost at most 256 bytes each while they wait and at rest, and all of them expire', async () => {
      const loans = new Loans(guard, count);
      const costs: Record<string, number> = {};
      const measure = async (state: string): Promise<void> => {
        costs[state] = Math.round(await bytesPerKey(redis, loans.keys));
        const ttls = await Promise.all(loans.keys.slice(0, 1_000).map((key) => redis.pttl(key)));
        expect(Math.min(...ttls), state).to.be.above(0);
      };
      for (const again of ['', ' again']) {
        await loans.queue();
        await measure(`queued${again}`);
        await loans.run();
        await measure(`running${again}`);
        await loans.release();
        await measure('free');
      }
      for (const [state, most] of Object.entries(BUDGET))
        expect(costs[state], `${state}, of ${JSON.stringify(costs)}`).to.be.within(1, most);
    }).timeout(timeout);
  });
}
