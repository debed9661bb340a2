import type { Redis } from 'ioredis';
import type { Clock } from '../clock.js';
import { ConfigError } from '../errors.js';
import {
  MEMORY_TIME,
  type ClaimAnswer,
  type Guard,
  type Holder,
  type HoldAnswer,
  type Identity,
  type KeptArguments,
  type LockRecord,
  type Offer,
  type PublishingClaim,
  type RecordScan,
  type RunEnd,
  type RunningClaim,
} from '../guard.js';
import type { Notes } from '../notes.js';
import type { Presence } from '../presence.js';
import { ScriptBatch } from './redlock-batch.js';
import { RedlockCalls } from './redlock-calls.js';
import { RedlockNodes, type NodeEvents } from './redlock-nodes.js';
import { RedlockNotes } from './redlock-notes.js';
import { RedlockReader } from './redlock-reader.js';
import { ARGUMENT_FIELDS, newestOf } from './redlock-record.js';
import type { ScriptCalls, ScriptPair } from './redlock-scripts.js';
import { SingleNodeCalls } from './redlock-single.js';
import { claimAnswer, holdAnswer, word } from './redlock-votes.js';
import { waitingHolder } from './redlock-waiting.js';

/** What a guard on Redis is made of. */
export interface RedlockGuardOptions {
  /** URLs, or clients: those are duplicated with options of our own and stay untouched. An odd number. */
  readonly nodes: readonly (string | Redis)[];
  readonly clock: Clock;
  /** How long fence, floor and done outlive a holder, ms. @default 600000 */
  readonly memory?: number | undefined;
}

/** Offered arguments as the rest of a line: a line break in JSON text is a space. */
const line = (offer: Offer | undefined): string => offer?.args.replaceAll('\n', ' ') ?? '';

const UNKNOWN = Promise.resolve('unknown' as const);

/** The guard on independent Redis nodes, any odd number of them: by redlock's public API, or, on one, without a vote. */
export class RedlockGuard implements Guard {
  readonly #nodes: RedlockNodes;
  readonly #clock: Clock;
  readonly #producer: ScriptCalls;
  readonly #worker: ScriptCalls;
  readonly #holder: ScriptCalls;
  readonly #batches: readonly ScriptBatch[];
  readonly #reader: RedlockReader;
  readonly notes: Notes;

  constructor({ nodes, clock, memory = MEMORY_TIME }: RedlockGuardOptions) {
    this.#nodes = new RedlockNodes(nodes);
    this.#clock = clock;
    this.#reader = new RedlockReader(this.#nodes);
    this.notes = new RedlockNotes(this.#nodes);
    const { clients } = this.#nodes;
    this.#batches = clients.map((client) => new ScriptBatch(client, memory));
    const calls = (scripts: ScriptPair): ScriptCalls =>
      clients.length === 1
        ? new SingleNodeCalls(this.#batches[0] as ScriptBatch, scripts)
        : new RedlockCalls(clients, memory, scripts);
    this.#producer = calls({ extend: 'claim-publishing', release: 'abandon' });
    this.#worker = calls({ extend: 'claim-running', release: 'release' });
    this.#holder = calls({ extend: 'keep' });
  }

  get address(): string {
    return this.#nodes.address;
  }

  listen(events: NodeEvents): void {
    this.#nodes.listen(events);
  }

  connect(timeout: number): Promise<void> {
    return this.#nodes.connect(timeout, this.#clock);
  }

  claimPublishing(key: string, claim: PublishingClaim): Promise<ClaimAnswer> {
    const words = `${word(claim.owner)} ${claim.fence} ${claim.expires} ${line(claim.offer)}`;
    return this.#claim(this.#producer, key, claim, words, claim.window);
  }

  waiting(key: string): Promise<Holder | undefined> {
    return waitingHolder(this.#batches, key);
  }

  claimRunning(key: string, claim: RunningClaim): Promise<ClaimAnswer> {
    const { owner, nonce, fence, copy, seq = 0, expires = 0, strategy, rerun = false, offer } = claim;
    const ids = `${word(owner)} ${word(nonce)} ${fence} ${word(copy)}`;
    const words = `${ids} ${seq} ${expires} ${strategy} ${rerun ? 1 : 0} ${line(offer)}`;
    return this.#claim(this.#worker, key, claim, words, claim.lease);
  }

  extendPublishing(key: string, identity: Identity, window: number): Promise<HoldAnswer> {
    return this.#keep('extend', key, identity, window);
  }

  confirm(key: string, identity: Identity, ttl: number): Promise<HoldAnswer> {
    return this.#keep('confirm', key, identity, ttl);
  }

  renew(key: string, identity: Identity, lease: number): Promise<HoldAnswer> {
    return this.#keep('renew', key, identity, lease);
  }

  hold(key: string, identity: Identity, ttl: number): Promise<HoldAnswer> {
    return this.#keep('hold', key, identity, ttl);
  }

  release(key: string, { owner, fence }: Identity, { seq, dead, keep = 0 }: RunEnd): Promise<HoldAnswer> {
    if (this.#nodes.unavailable() !== undefined) return UNKNOWN;
    const words = `${word(owner)} ${fence} ${seq} ${dead ? 1 : 0} ${Math.round(keep)}`;
    return this.#worker.release(key, words, holdAnswer);
  }

  async abandon(key: string, { owner, fence, nonce = '' }: Identity): Promise<'ok' | 'unknown'> {
    if (this.#nodes.unavailable() !== undefined) return 'unknown';
    const words = `${word(owner)} ${fence} ${word(nonce)}`;
    return this.#producer.release(key, words, (verdict) => (holdAnswer(verdict) === 'ok' ? 'ok' : 'unknown'));
  }

  expire(key: string, owner: string): Promise<HoldAnswer> {
    return this.#keep('expire', key, { owner, fence: 0 }, 0);
  }

  async newest(key: string, identity: Identity): Promise<KeptArguments | 'none' | 'unknown'> {
    const { clients } = this.#nodes;
    const reads = await Promise.allSettled(clients.map((client) => client.hmget(key, ...ARGUMENT_FIELDS)));
    const answers = reads.flatMap((read) => (read.status === 'fulfilled' ? [read.value] : []));
    if (answers.length * 2 <= clients.length) return 'unknown';
    return newestOf(answers, identity) ?? 'none';
  }

  read(key: string): Promise<LockRecord | undefined> {
    return this.#reader.read(key);
  }

  scan(prefix: string, text: string, limit: number): Promise<RecordScan> {
    return this.#reader.scan(prefix, text, limit);
  }

  now(): Promise<number> {
    return this.#reader.now();
  }

  get presence(): Presence {
    return this.#reader;
  }

  close(): Promise<void> {
    const asked = [this.#producer, this.#worker, this.#holder, ...this.#batches];
    return this.#nodes.close(Promise.all(asked.map((calls) => calls.idle())));
  }

  #claim(calls: ScriptCalls, key: string, identity: Identity, words: string, ms: number): Promise<ClaimAnswer> {
    const cause = this.#nodes.unavailable();
    if (cause !== undefined) return Promise.resolve({ outcome: 'unavailable', cause });
    // On one node the caller abandons what is undecided; a minority's grant only we can see.
    const leftBehind = this.#nodes.clients.length > 1 ? () => void this.abandon(key, identity) : undefined;
    return calls.extend(key, words, ms, claimAnswer, leftBehind);
  }

  #keep(arrow: string, key: string, { owner, fence }: Identity, ms: number): Promise<HoldAnswer> {
    if (this.#nodes.unavailable() !== undefined) return UNKNOWN;
    return this.#holder.extend(key, `${arrow} ${word(owner)} ${fence}`, ms, holdAnswer);
  }
}

/**
 * The guard on Redis. Opens nothing before `connect`.
 * @throws ConfigError for an even number of nodes (half of them could never outvote the other), and for one node twice.
 */
export function createRedlockGuard(options: RedlockGuardOptions): Guard {
  const count = options.nodes.length;
  if (count % 2 === 0) throw new ConfigError(`locks: an odd number of Redis nodes, not ${count}`, { option: 'locks' });
  const twice = options.nodes.find((node, index) => options.nodes.indexOf(node) !== index);
  if (twice !== undefined) throw new ConfigError('locks: one Redis node is listed twice', { option: 'locks' });
  return new RedlockGuard(options);
}
