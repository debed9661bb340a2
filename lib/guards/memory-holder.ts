import type { HoldAnswer, Identity, LockRecord, RunEnd } from '../guard.js';
import { freed, mine, newest, type Moment, type Step } from './memory-record.js';

const ok = (record: LockRecord): Step<HoldAnswer> => ({ record, answer: 'ok' });
const lost = (record: LockRecord): Step<HoldAnswer> => ({ record, answer: 'lost' });

/** scripts/keep.lua, extend */
export function extend(record: LockRecord, identity: Identity, window: number, { now }: Moment): Step<HoldAnswer> {
  if (!mine(record, identity) || record.phase !== 'publishing') return lost(record);
  return ok({ ...record, deadline: now + window });
}

/** scripts/keep.lua, confirm: by owner alone, for the window may have been claimed again for the same id. */
export function confirm(record: LockRecord, { owner }: Identity, ttl: number, { now }: Moment): Step<HoldAnswer> {
  if (record.owner !== owner) return record.done?.id === owner ? ok(record) : lost(record);
  if (record.phase === 'publishing') return ok({ ...record, phase: 'queued', deadline: now + ttl });
  if (record.phase !== 'queued') return ok(record);
  return ok({ ...record, deadline: Math.max(record.deadline, now + ttl) });
}

/** scripts/keep.lua, renew */
export function renew(record: LockRecord, identity: Identity, lease: number, { now }: Moment): Step<HoldAnswer> {
  if (!mine(record, identity) || record.phase !== 'running' || record.stop) return lost(record);
  return ok({ ...record, deadline: now + lease });
}

/** scripts/keep.lua, hold */
export function hold(record: LockRecord, identity: Identity, ttl: number, { now }: Moment): Step<HoldAnswer> {
  if (!mine(record, identity)) return lost(record);
  if (record.phase !== 'running') return record.phase === 'queued' ? ok(record) : lost(record);
  const waiting: LockRecord = {
    ...record,
    phase: 'queued',
    deadline: now + ttl,
    nonce: undefined,
    copy: undefined,
    stop: false,
    args: newest(record),
    mark: undefined,
  };
  return ok(waiting);
}

/** scripts/keep.lua, expire */
export function expire(record: LockRecord, owner: string, { now }: Moment): Step<HoldAnswer> {
  const { phase, expires } = record;
  const waits = record.owner === owner && (phase === 'publishing' || phase === 'queued');
  if (waits && expires > 0 && expires <= now)
    return ok(freed(record, Math.max(record.fence, record.floor), newest(record)));
  const needed = record.owner !== undefined || record.args !== undefined || record.done?.id === owner;
  return needed ? { record, answer: 'marked' } : lost(record);
}

/** scripts/release.lua */
export function release(
  record: LockRecord,
  { owner, fence }: Identity,
  { seq, dead, keep = 0 }: RunEnd,
  { now }: Moment,
): Step<HoldAnswer> {
  if (!mine(record, { owner, fence }) || record.phase !== 'running')
    return record.done?.id === owner && record.done.fence === fence ? ok(record) : lost(record);
  if (record.mark !== undefined) return { record, answer: 'marked' };
  const covered = !dead && (record.args?.seq ?? 0) <= seq;
  const free = freed(record, Math.max(fence, record.floor), covered ? undefined : record.args);
  // What an earlier run has covered stays covered, though a message without a sequence ran since.
  const done = { ...free, done: { fence, seq: Math.max(record.done?.seq ?? 0, seq), id: owner, dead } };
  if (dead || keep === 0) return ok(done);
  // A floor may differ between nodes, and a holder's fence may not: it is evidence.
  return ok({ ...done, owner, phase: 'kept', deadline: now + keep, fence, floor: record.floor });
}

/** scripts/abandon.lua */
export function abandon(record: LockRecord, identity: Identity, { now, memory }: Moment): Step<'ok'> {
  // A late claim too far ahead is refused by its clock; a floor there would refuse everybody else too.
  const floor = Math.max(record.floor, Math.min(identity.fence, now * 1000 + memory * 500 - 1));
  const another = identity.nonce !== undefined && record.nonce !== undefined && record.nonce !== identity.nonce;
  if (record.owner !== undefined && (another || !mine(record, identity)))
    return { record: { ...record, floor }, answer: 'ok' };
  return { record: freed(record, Math.max(record.fence, floor), newest(record)), answer: 'ok' };
}
