import type { Clock } from '../clock.js';
import { ClosedError, LockUnavailableError } from '../errors.js';
import {
  MEMORY_TIME,
  type ClaimAnswer,
  type Guard,
  type Holder,
  type HoldAnswer,
  type Identity,
  type KeptArguments,
  type LockRecord,
  type PublishingClaim,
  type RecordScan,
  type RunEnd,
  type RunningClaim,
} from '../guard.js';
import { claimPublishing, claimRunning } from './memory-claims.js';
import type { Notes } from '../notes.js';
import type { Presence } from '../presence.js';
import { abandon, confirm, expire, extend, hold, release, renew } from './memory-holder.js';
import { MemoryNotes } from './memory-notes.js';
import { MemoryPresence } from './memory-presence.js';
import { EMPTY, found, held, waiting, type Moment, type Step } from './memory-record.js';

interface Entry {
  readonly record: LockRecord;
  /** Epoch ms at which it is forgotten. */
  readonly until: number;
}

/** How often what nobody asked for again is thrown away, ms. */
const SWEEP = 60_000;

/** The records of one process; guards that are given the same one guard the same keys. */
export class MemoryLocks {
  readonly #entries = new Map<string, Entry>();
  #swept = 0;

  /** Number of keys that are remembered. */
  get size(): number {
    return this.#entries.size;
  }

  /** Forgets every key. */
  clear(): void {
    this.#entries.clear();
  }

  /** What workers that share these records say about themselves. */
  readonly presence = new MemoryPresence();
  readonly notes = new MemoryNotes();

  /** Every key that is remembered at `now`, with its record. */
  *all(now: number): Generator<{ key: string; record: LockRecord }> {
    for (const [key, { record, until }] of this.#entries) if (now < until) yield { key, record };
  }

  read(key: string, now: number): LockRecord | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && now < entry.until ? entry.record : undefined;
  }

  /** The key outlives its holder by `memory` ms. */
  write(key: string, record: LockRecord, { now, memory }: Moment): void {
    this.#sweep(now);
    const until = now + (held(record, now) ? record.deadline - now : 0) + memory;
    this.#entries.set(key, { record, until });
  }

  #sweep(now: number): void {
    if (now - this.#swept < SWEEP) return;
    this.#swept = now;
    for (const [key, { until }] of this.#entries) if (until <= now) this.#entries.delete(key);
  }
}

/** What a guard in memory is made of. */
export interface MemoryGuardOptions {
  readonly clock: Clock;
  /** Shared by the guards that shall see each other. @default a new one */
  readonly store?: MemoryLocks | undefined;
  /** How long fence, floor and done outlive a holder, ms. @default 600000 */
  readonly memory?: number | undefined;
}

class MemoryGuard implements Guard {
  readonly address = 'memory:';
  readonly #clock: Clock;
  readonly #store: MemoryLocks;
  readonly #memory: number;
  #closed = false;

  constructor({ clock, store = new MemoryLocks(), memory = MEMORY_TIME }: MemoryGuardOptions) {
    this.#clock = clock;
    this.#store = store;
    this.#memory = memory;
  }

  /** Memory is always there: there is nothing to tell. */
  listen(): void {}

  async connect(): Promise<void> {
    const closed = this.#refused();
    if (closed !== undefined) throw closed;
  }

  async claimPublishing(key: string, claim: PublishingClaim): Promise<ClaimAnswer> {
    return this.#claim(key, (record, at) => claimPublishing(record, claim, at));
  }

  async waiting(key: string): Promise<Holder | undefined> {
    return this.#step(key, (record, { now }) => ({ record, answer: waiting(record, now) }));
  }

  async claimRunning(key: string, claim: RunningClaim): Promise<ClaimAnswer> {
    return this.#claim(key, (record, at) => claimRunning(record, claim, at));
  }

  async extendPublishing(key: string, identity: Identity, window: number): Promise<HoldAnswer> {
    return this.#step(key, (record, at) => extend(record, identity, window, at)) ?? 'unknown';
  }

  async confirm(key: string, identity: Identity, ttl: number): Promise<HoldAnswer> {
    return this.#step(key, (record, at) => confirm(record, identity, ttl, at)) ?? 'unknown';
  }

  async renew(key: string, identity: Identity, lease: number): Promise<HoldAnswer> {
    return this.#step(key, (record, at) => renew(record, identity, lease, at)) ?? 'unknown';
  }

  async hold(key: string, identity: Identity, ttl: number): Promise<HoldAnswer> {
    return this.#step(key, (record, at) => hold(record, identity, ttl, at)) ?? 'unknown';
  }

  async release(key: string, identity: Identity, end: RunEnd): Promise<HoldAnswer> {
    return this.#step(key, (record, at) => release(record, identity, end, at)) ?? 'unknown';
  }

  async abandon(key: string, identity: Identity): Promise<'ok' | 'unknown'> {
    return this.#step(key, (record, at) => abandon(record, identity, at)) ?? 'unknown';
  }

  async newest(key: string, identity: Identity): Promise<KeptArguments | 'none' | 'unknown'> {
    return this.#step(key, (record) => ({ record, answer: found(record, identity) ?? 'none' })) ?? 'unknown';
  }

  async expire(key: string, owner: string): Promise<HoldAnswer> {
    return this.#step(key, (record, at) => expire(record, owner, at)) ?? 'unknown';
  }

  async read(key: string): Promise<LockRecord | undefined> {
    return this.#store.read(key, await this.now());
  }

  async scan(prefix: string, text: string, limit: number): Promise<RecordScan> {
    const pattern = new RegExp(text.replace(/[\\^$.|?+()[\]{}]/g, '\\$&').replaceAll('*', '.*'), 's');
    const matching = [...this.#store.all(await this.now())].filter(
      ({ key, record }) =>
        record.owner !== undefined && key.startsWith(prefix) && pattern.test(key.slice(prefix.length)),
    );
    return { records: matching.slice(0, limit), more: matching.length > limit };
  }

  async now(): Promise<number> {
    const closed = this.#refused();
    if (closed !== undefined) throw new LockUnavailableError(closed.message, {}, closed);
    return this.#clock.now();
  }

  get presence(): Presence {
    return this.#store.presence.at(this.#clock);
  }

  get notes(): Notes {
    return this.#store.notes.at(this.#clock);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #refused(): Error | undefined {
    return this.#closed ? new ClosedError('the locks were closed') : undefined;
  }

  #claim(key: string, step: (record: LockRecord, at: Moment) => Step<ClaimAnswer>): ClaimAnswer {
    return this.#step(key, step) ?? { outcome: 'unavailable', cause: this.#refused() };
  }

  /** Undefined once closed. */
  #step<Answer>(key: string, step: (record: LockRecord, at: Moment) => Step<Answer>): Answer | undefined {
    if (this.#closed) return undefined;
    const at = { now: Math.floor(this.#clock.now()), memory: this.#memory };
    const before = this.#store.read(key, at.now) ?? EMPTY;
    const { record, answer } = step(before, at);
    if (record !== before) this.#store.write(key, record, at);
    return answer;
  }
}

/** The guard of one process: the same answers as Redis gives, from a map. For tests, demos and single processes. */
export function createMemoryGuard(options: MemoryGuardOptions): Guard {
  return new MemoryGuard(options);
}
