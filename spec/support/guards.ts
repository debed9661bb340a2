import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { FenceSource } from '../../lib/fence.js';
import type {
  ClaimAnswer,
  Guard,
  Holder,
  Identity,
  LockRecord,
  PublishingClaim,
  RunningClaim,
} from '../../lib/guard.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { createRedlockGuard } from '../../lib/guards/redlock.js';
import { testRedisUrl } from './servers.js';

/** A guard under test. */
export interface GuardBench {
  readonly guard: Guard;
  /** Puts a held key into the phase `kept`, whatever it was in. */
  keep(key: string): Promise<void>;
  close(): Promise<void>;
}

export const GUARDS: Readonly<Record<string, () => Promise<GuardBench>>> = {
  async memory() {
    const store = new MemoryLocks();
    const guard = createMemoryGuard({ clock: systemClock, store });
    const keep = async (key: string): Promise<void> => {
      const now = systemClock.now();
      store.write(key, { ...store.read(key, now)!, phase: 'kept' }, { now, memory: 600_000 });
    };
    return { guard, keep, close: () => guard.close() };
  },

  async redlock() {
    const raw = new Redis(testRedisUrl());
    const guard = createRedlockGuard({ nodes: [testRedisUrl()], clock: systemClock });
    await guard.connect(5000);
    const keep = async (key: string): Promise<void> => void (await raw.hset(key, 'p', 'k'));
    const close = async (): Promise<void> => {
      await guard.close();
      await raw.quit();
    };
    return { guard, keep, close };
  },
};

/** A key of 45 characters that no other spec has. */
export const freshKey = (): string => `solotask:lock:${randomUUID().slice(0, 31)}`;

export const fences = new FenceSource(systemClock);

/** A publishing claim with what does not matter filled in. */
export const publishing = (owner: string, more: Partial<PublishingClaim> = {}): PublishingClaim => ({
  owner,
  fence: fences.next(),
  window: 5000,
  expires: 0,
  ...more,
});

/** A running claim with what does not matter filled in. */
export const running = (owner: string, more: Partial<RunningClaim> = {}): RunningClaim => ({
  owner,
  fence: fences.next(),
  nonce: 'nonce',
  copy: 'copy',
  seq: undefined,
  lease: 15_000,
  strategy: 'discard',
  ...more,
});

export const GRANTED = { outcome: 'granted' };

/** One key of one guard, and the ways to bring it into a phase. */
export class GuardBed {
  key = '';
  bench!: GuardBench;

  get guard(): Guard {
    return this.bench.guard;
  }

  record = async (): Promise<LockRecord> => (await this.guard.read(this.key))!;

  publish = async (owner: string, more: Partial<PublishingClaim> = {}): Promise<Identity> => {
    const claim = publishing(owner, more);
    expect(await this.guard.claimPublishing(this.key, claim)).to.deep.equal(GRANTED);
    return claim;
  };

  queue = async (owner: string, more: Partial<PublishingClaim> = {}, ttl = 60_000): Promise<Identity> => {
    const identity = await this.publish(owner, more);
    expect(await this.guard.confirm(this.key, identity, ttl)).to.equal('ok');
    return identity;
  };

  run = async (owner: string, more: Partial<RunningClaim> = {}): Promise<Identity> => {
    const claim = running(owner, more);
    expect(await this.guard.claimRunning(this.key, claim)).to.deep.equal(GRANTED);
    return claim;
  };

  keep = (): Promise<void> => this.bench.keep(this.key);
}

/** Declares the same specs for each guard; `bed` has a fresh key in each of them. */
export function overGuards(declare: (bed: GuardBed) => void): void {
  for (const [name, open] of Object.entries(GUARDS)) {
    describe(`guard: ${name}`, () => {
      const bed = new GuardBed();
      before(async () => {
        bed.bench = await open();
      });
      after(() => bed.bench.close());
      beforeEach(() => {
        bed.key = freshKey();
      });
      declare(bed);
    });
  }
}

/** Checks a refusal, its holder included but for the time left, which is returned. */
export function expectHeld(answer: ClaimAnswer, holder: Omit<Holder, 'left'>, own?: string, offered = false): number {
  if (answer.outcome !== 'held') expect.fail(`not held but ${JSON.stringify(answer)}`);
  const { left, ...rest } = answer.holder;
  expect(rest).to.deep.equal(holder);
  expect(answer.own).to.equal(own);
  expect(answer.offered).to.equal(offered);
  return left;
}
