import { systemClock } from '../../../lib/clock.js';
import type { Identity, LockRecord } from '../../../lib/guard.js';

/** A minute ago, so that no fence from here on is taken for the time that a node answers to a clock too slow. */
export const BASE = (systemClock.now() - 60_000) * 1000;
/** Fences of the commands lie below; those that nodes make of their time, above. */
export const BY_CLOCK = BASE + 1e6;
/** Older than any record, and further ahead than a node accepts. */
const SLOW = 7;
const AHEAD = BASE + 800e6;

/** Where a command takes a fence from: from what the records say, most of the time. */
export const FENCES = ['next', 'same', 'highest', 'slow', 'ahead'] as const;
export type FenceChoice = (typeof FENCES)[number];

/** Whose identity a holder's command has: its own last claim's, or that of the holder on the first node with one. */
export const IDENTITIES = ['own', 'holder', 'wrong'] as const;
export type IdentityChoice = (typeof IDENTITIES)[number];

/** A task as its producer and its worker know it. */
export class Member {
  readonly owner: string;
  /** Of its last claim, granted or not. */
  fence = BASE;
  /** The fence with which it was enqueued: its message's `lock_fence`. */
  seq: number | undefined;
  nonce = 'n';
  copy = 'c';

  constructor(owner: string) {
    this.owner = owner;
  }
}

/** The records of a key on all nodes, as commands look at them. */
export class Seen {
  readonly records: readonly LockRecord[];

  constructor(records: readonly (LockRecord | undefined)[]) {
    this.records = records.filter((record) => record !== undefined);
  }

  /** Every sequence that is known, in a fixed order; those next to them are where decisions turn. */
  sequences(member: Member): number[] {
    const known = this.records.flatMap(({ seq, args, mark, done, fence }) => [
      seq,
      args?.seq,
      mark?.seq,
      done?.seq,
      done?.fence,
      fence,
    ]);
    return [member.seq, ...known].filter((seq): seq is number => seq !== undefined && seq > 0);
  }

  fence(choice: FenceChoice, member: Member): number {
    if (choice === 'same') return member.fence;
    if (choice === 'slow') return SLOW;
    if (choice === 'ahead') return AHEAD;
    const all = this.records.flatMap(({ fence, floor }) => [fence, floor]);
    const highest = Math.max(BASE, ...[...all, ...this.sequences(member)].filter((one) => one < BY_CLOCK));
    return choice === 'highest' ? highest : highest + 1;
  }

  identity(choice: IdentityChoice, { owner, fence }: Member): Identity {
    const holder = this.records.find((record) => record.owner !== undefined && record.fence < BY_CLOCK);
    if (choice === 'own' || holder?.owner === undefined) return { owner, fence };
    return { owner: holder.owner, fence: choice === 'wrong' ? holder.fence - 1 : holder.fence };
  }
}
