import type { Notes } from './notes.js';
import type { Presence } from './presence.js';

/** The phases of a held key. A free key has none. */
export type Phase = 'publishing' | 'queued' | 'running' | 'kept';

/** Who holds a key, as a refusal tells it. */
export interface Holder {
  /** Task id. */
  readonly owner: string;
  readonly phase: Phase;
  readonly fence: number;
  /** Milliseconds until the holder's lease ends. */
  readonly left: number;
  /** Sequence of the arguments that the holder carries. */
  readonly seq: number;
}

/** One accepted claim: the task and the fence it was accepted with. */
export interface Identity {
  readonly owner: string;
  readonly fence: number;
  /**
   * Of a running claim: two workers with deliveries of one task may propose one fence, and the one that is refused must
   * not abandon the other's run.
   */
  readonly nonce?: string | undefined;
}

/** Arguments offered to the holder of a key (`coalesce`): JSON text of `[args, kwargs]`. */
export interface Offer {
  readonly args: string;
}

/** A producer asks for the publish window of a key. */
export interface PublishingClaim extends Identity {
  /** How long the key is kept for the publish, ms. */
  readonly window: number;
  /** Epoch ms at which the message may be dropped; 0: never. */
  readonly expires: number;
  /** Only with `coalesce`: handed to a holder that refuses the claim. */
  readonly offer?: Offer | undefined;
}

/** A worker asks to run a message. */
export interface RunningClaim extends Identity {
  /** Fresh for each delivery that the worker accepts; the same for re-runs on that delivery. */
  readonly nonce: string;
  /** The message's `copy`. */
  readonly copy: string;
  /** The message's `lock_fence`; undefined when it carries none. */
  readonly seq: number | undefined;
  /** ms */
  readonly lease: number;
  /** Decides how a finished run covers this message. */
  readonly strategy: 'discard' | 'coalesce' | 'requeue';
  /** Does not look at a `done` of its own, and clears it. */
  readonly rerun?: boolean;
  /** Epoch ms at which the message may be dropped: a waiting holder that refuses it waits as long. @default 0, never */
  readonly expires?: number | undefined;
  readonly offer?: Offer | undefined;
}

/**
 * The answer to a claim. Only `held` and `done` are evidence on which a duplicate may be dropped: both came from a
 * quorum that gave the same answer (protocol.md, client rule 1).
 */
export type ClaimAnswer =
  | { readonly outcome: 'granted' }
  /**
   * Somebody has the key. `own`: it is this very task: another attempt of the same copy (stopped now, wait for its
   * lease), or of another copy (left alone). `offered`: the holder took the offered arguments.
   */
  | {
      readonly outcome: 'held';
      readonly holder: Holder;
      readonly own: 'same-copy' | 'other-copy' | undefined;
      readonly offered: boolean;
    }
  /** A run that covers this message has ended. `own`: it was this very task's. `dead`: it ended in the dead letters. */
  | { readonly outcome: 'done'; readonly id: string; readonly own: boolean; readonly dead: boolean }
  /** The fence is too small: propose one above `highest`. */
  | { readonly outcome: 'fence'; readonly highest: number }
  /** This process's clock is too far ahead of Redis's: `skew` ms. */
  | { readonly outcome: 'clock'; readonly skew: number }
  /** No quorum of one answer; the claim may have been executed, or still be. */
  | { readonly outcome: 'unknown'; readonly cause: unknown }
  /** No quorum of nodes can be reached; nothing was sent to the others. */
  | { readonly outcome: 'unavailable'; readonly cause: unknown };

/**
 * The answer to everything that a holder does with its key. `lost`: the key is not (or no longer) held by this
 * identity. `marked` (release only): a newcomer's arguments wait, the key is still held, run again.
 */
export type HoldAnswer = 'ok' | 'lost' | 'marked' | 'unknown';

/** How a run ended. */
export interface RunEnd {
  /** Sequence of the arguments it ran with; 0: they had none. */
  readonly seq: number;
  /** It ended in the dead letters. */
  readonly dead: boolean;
  /** After a good end the key is kept for so long, ms. @default 0: it is free at once */
  readonly keep?: number | undefined;
}

/** Arguments kept with a key, with their sequence. */
export interface KeptArguments {
  readonly seq: number;
  readonly args: string;
}

/** A record as it stands on one node; for people, specs and inspection. */
export interface LockRecord {
  readonly owner: string | undefined;
  readonly nonce: string | undefined;
  readonly phase: Phase | undefined;
  readonly fence: number;
  /** Epoch ms by the node's clock; 0 when free. */
  readonly deadline: number;
  readonly copy: string | undefined;
  readonly seq: number;
  readonly args: KeptArguments | undefined;
  readonly mark: KeptArguments | undefined;
  readonly stop: boolean;
  readonly floor: number;
  readonly expires: number;
  readonly done:
    { readonly fence: number; readonly seq: number; readonly id: string; readonly dead: boolean } | undefined;
}

/** Records that were found, for people. */
export interface RecordScan {
  /** In no order; `key` is the whole record name. */
  readonly records: readonly { readonly key: string; readonly record: LockRecord }[];
  /** There are more than `limit`. */
  readonly more: boolean;
}

/**
 * The port to the locks: one record per key, and the arrows of docs/internals.md between its phases. `key` is the whole
 * record name. No method rejects for a node's sake: what a node did or did not say is in the answer.
 */
export interface Guard {
  /** Address for people, secrets masked. */
  readonly address: string;
  /** Told when the quorum is lost (with the reason) and when it is back (undefined). Called once, before anything else. */
  listen(events: { available(error: Error | undefined): void; warn(text: string): void }): void;
  /** Resolves when a quorum is ready; `LockUnavailableError` after `timeout` ms, `ConfigError` for a Redis that will not do. */
  connect(timeout: number): Promise<void>;
  claimPublishing(key: string, claim: PublishingClaim): Promise<ClaimAnswer>;
  /**
   * Who waits for its run here, and never expires: evidence that a run starts later, at the price of a read. Undefined when
   * nobody does, or nobody can say; a claim then tells more.
   */
  waiting(key: string): Promise<Holder | undefined>;
  /** Keeps the publish window open while the same id is published again. */
  extendPublishing(key: string, identity: Identity, window: number): Promise<HoldAnswer>;
  /** publishing → queued, held for `ttl` ms more. Already running under the same id: ok. */
  confirm(key: string, identity: Identity, ttl: number): Promise<HoldAnswer>;
  claimRunning(key: string, claim: RunningClaim): Promise<ClaimAnswer>;
  renew(key: string, identity: Identity, lease: number): Promise<HoldAnswer>;
  /** running → queued for `ttl` ms (delay included), before a retry is published. */
  hold(key: string, identity: Identity, ttl: number): Promise<HoldAnswer>;
  /** running → free (or kept), and done. */
  release(key: string, identity: Identity, end: RunEnd): Promise<HoldAnswer>;
  /** Frees what carries exactly this identity, and refuses its late claims. Never `lost`: ok or unknown. */
  abandon(key: string, identity: Identity): Promise<'ok' | 'unknown'>;
  /**
   * The newest arguments that are kept with the key, for the run that `identity` has just been granted: read from every
   * node that answers in time, for a quorum may miss those of a node that lost its memory. A mark beside this very run
   * is not among them, for it refuses the run's release. `unknown` without answers from a quorum.
   */
  newest(key: string, identity: Identity): Promise<KeptArguments | 'none' | 'unknown'>;
  /**
   * A message of `owner` came whose time is over. `ok`: its record had expired as well, still waiting, and is free now.
   * `lost`: nobody has the key. `marked`: it must run all the same, for its run began, it is done, or somebody leans on it.
   */
  expire(key: string, owner: string): Promise<HoldAnswer>;
  /** The record on which the most nodes agree; undefined when there is none. Rejects with `LockUnavailableError`. */
  read(key: string): Promise<LockRecord | undefined>;
  /**
   * Records that have an owner on any node that answers: those whose names begin with `prefix` and contain `text`
   * after it (`*` stands for anything); at most `limit`. Walks over every key of that Redis, a thousand at a time, so that
   * nobody else waits for it. Rejects with `LockUnavailableError`.
   */
  scan(prefix: string, text: string, limit: number): Promise<RecordScan>;
  /** Epoch ms by the clock of the first node that answers, to which deadlines compare. Rejects as `read`. */
  now(): Promise<number>;
  /** Where workers say that they are there: kept beside the records, over the same links. */
  readonly presence: Presence;
  /** What workers note about messages: kept beside the records, over the same links. */
  readonly notes: Notes;
  close(): Promise<void>;
}

/** The most bytes of arguments that are kept with a key. */
export const LARGEST_OFFER = 16_384;

/** How long fence, floor and done outlive a holder, ms; also twice the clock skew that is tolerated. */
export const MEMORY_TIME = 600_000;
