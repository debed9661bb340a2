import type { ClaimAnswer, Holder, Identity, KeptArguments, LockRecord } from '../guard.js';

/** The time of one step. */
export interface Moment {
  /** Epoch ms. */
  readonly now: number;
  /** The memory time, ms. */
  readonly memory: number;
}

/** What a step makes of a record, and what it answers; the same record when it changed nothing. */
export interface Step<Answer> {
  readonly record: LockRecord;
  readonly answer: Answer;
}

/** A record nobody has written. */
export const EMPTY: LockRecord = {
  owner: undefined,
  nonce: undefined,
  phase: undefined,
  fence: 0,
  deadline: 0,
  copy: undefined,
  seq: 0,
  args: undefined,
  mark: undefined,
  stop: false,
  floor: 0,
  expires: 0,
  done: undefined,
};

/** Is the key taken? A record whose deadline has passed is free for others, though its owner may still use it. */
export const held = (record: LockRecord, now: number): boolean => record.owner !== undefined && now < record.deadline;

export const mine = (record: LockRecord, { owner, fence }: Identity): boolean =>
  record.owner === owner && record.fence === fence;

/** Largest sequence of the arguments that the record carries. */
export const carried = ({ seq, args, mark }: LockRecord): number => Math.max(seq, args?.seq ?? 0, mark?.seq ?? 0);

const highest = (record: LockRecord): number => Math.max(record.fence, record.floor, carried(record));

/** A mark becomes the key's arguments when it is newer than they are. */
export const newest = ({ args, mark }: LockRecord): KeptArguments | undefined =>
  (mark?.seq ?? 0) > (args?.seq ?? 0) ? mark : args;

/** The arguments that the run of `identity` finds: a mark beside it comes after it. */
export const found = (record: LockRecord, identity: Identity): KeptArguments | undefined =>
  mine(record, identity) ? record.args : newest(record);

/** What stays of a record without a holder: fence, args, done. */
export const freed = (record: LockRecord, fence: number, args: KeptArguments | undefined): LockRecord => ({
  ...EMPTY,
  fence,
  args,
  done: record.done,
});

/** Why a fence cannot be accepted now; undefined when it can. `seq`: of the message that shall run. */
export function unacceptable(
  record: LockRecord,
  fence: number,
  { now, memory }: Moment,
  seq = 0,
): ClaimAnswer | undefined {
  const micros = now * 1000;
  const half = memory * 500;
  if (fence > micros + half) return { outcome: 'clock', skew: Math.round((fence - micros) / 1000) };
  const slow = fence < micros - half;
  const least = Math.max(highest(record), seq);
  if (!slow && fence > least) return undefined;
  return { outcome: 'fence', highest: Math.max(least, slow ? micros : 0) };
}

/** Refuses a claim of a held record. */
export function refusal(
  record: LockRecord,
  { now }: Moment,
  own: 'same-copy' | 'other-copy' | undefined,
  offered = false,
): Step<ClaimAnswer> {
  const { owner = '', phase = 'running', fence, deadline } = record;
  const holder = { owner, phase, fence, left: deadline - now, seq: carried(record) };
  return { record, answer: { outcome: 'held', holder, own, offered } };
}

/** Another's record takes the offered arguments: as the key's own while it waits, as a mark while it runs. */
export const offer = (record: LockRecord, kept: KeptArguments): LockRecord => ({
  ...record,
  ...(record.phase === 'queued' ? { args: kept } : { mark: kept }),
  expires: 0,
});

/** Only a waiting and a running holder take offers. */
export const takesOffers = ({ phase }: LockRecord): boolean => phase === 'queued' || phase === 'running';

/** A waiting holder may not be dropped before anybody who leans on it. */
export function outlive(record: LockRecord, expires: number): LockRecord {
  if (record.phase !== 'queued' || record.expires === 0) return record;
  const later = expires === 0 ? 0 : Math.max(record.expires, expires);
  return later === record.expires ? record : { ...record, expires: later };
}

/** Who waits for its run here, and never expires. */
export function waiting({ owner, phase, fence, deadline, expires }: LockRecord, now: number): Holder | undefined {
  if (owner === undefined || phase !== 'queued' || expires !== 0 || deadline <= now) return undefined;
  return { owner, phase, fence, left: deadline - now, seq: 0 };
}
