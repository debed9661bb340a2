import type { ClaimAnswer, LockRecord, PublishingClaim, RunningClaim } from '../guard.js';
import {
  carried,
  freed,
  held,
  newest,
  offer,
  outlive,
  refusal,
  takesOffers,
  unacceptable,
  type Moment,
  type Step,
} from './memory-record.js';

const GRANTED: ClaimAnswer = { outcome: 'granted' };

/** scripts/claim-publishing.lua */
export function claimPublishing(record: LockRecord, claim: PublishingClaim, at: Moment): Step<ClaimAnswer> {
  const { owner, fence, window, expires } = claim;
  if (held(record, at.now) && (record.owner !== owner || record.phase !== 'publishing'))
    return leanOnPublishing(record, claim, at);
  const no = unacceptable(record, fence, at);
  if (no !== undefined) return { record, answer: no };
  const args = newest(record);
  const taken: LockRecord = {
    ...freed(record, fence, args),
    owner,
    phase: 'publishing',
    deadline: at.now + window,
    seq: fence,
    floor: record.floor,
    // A holder that carries somebody else's arguments may not be dropped for its own age.
    expires: args === undefined ? expires : 0,
  };
  return { record: taken, answer: GRANTED };
}

function leanOnPublishing(record: LockRecord, claim: PublishingClaim, at: Moment): Step<ClaimAnswer> {
  // A caller who chooses ids may offer to a holder of the same one.
  const own = record.owner === claim.owner ? 'other-copy' : undefined;
  if (claim.offer === undefined || !takesOffers(record)) return refusal(outlive(record, claim.expires), at, own);
  const no = unacceptable(record, claim.fence, at);
  if (no !== undefined) return { record, answer: no };
  return refusal(offer(record, { seq: claim.fence, args: claim.offer.args }), at, own, true);
}

/** scripts/claim-running.lua */
export function claimRunning(record: LockRecord, asked: RunningClaim, at: Moment): Step<ClaimAnswer> {
  // No claim was ever accepted with a sequence from the future: it was made up.
  const madeUp = (asked.seq ?? 0) > at.now * 1000 + at.memory * 500;
  const claim = madeUp ? { ...asked, seq: undefined } : asked;
  const { owner, nonce, fence, copy, seq = 0, lease, rerun = false } = claim;
  if (covered(record, claim)) return done(record, owner);
  if (held(record, at.now) && record.owner !== owner) return leanOnRunning(record, claim, at);
  if (held(record, at.now) && record.phase === 'kept')
    return { record, answer: { outcome: 'done', id: owner, own: true, dead: false } };
  if (held(record, at.now) && record.phase === 'running' && record.nonce !== nonce) return waitForOwn(record, copy, at);
  const no = unacceptable(record, fence, at, seq);
  if (no !== undefined) return { record, answer: no };
  const args = newest(record);
  const running: LockRecord = {
    ...freed(record, fence, args),
    owner,
    nonce,
    phase: 'running',
    deadline: at.now + lease,
    copy,
    seq: Math.max(seq, args?.seq ?? 0),
    floor: record.floor,
    done: rerun && record.done?.id === owner ? undefined : record.done,
  };
  return { record: running, answer: GRANTED };
}

/** Does the last good run cover this message? */
function covered({ done }: LockRecord, { owner, seq = 0, strategy, rerun = false }: RunningClaim): boolean {
  // Of its own run a re-run takes no notice, for some nodes may have released it; what another did since covers it, too.
  if (done === undefined || (rerun && done.id === owner)) return false;
  if (seq > 0 && strategy === 'discard') return seq < done.fence;
  if (seq > 0 && strategy === 'coalesce') return seq <= done.seq;
  return done.id === owner;
}

function done(record: LockRecord, owner: string): Step<ClaimAnswer> {
  const id = record.done?.id ?? owner;
  return { record, answer: { outcome: 'done', id, own: id === owner, dead: record.done?.dead ?? false } };
}

/** Another attempt of this very task has the key. The same copy again: its earlier attempt may not go on for ever. */
function waitForOwn(record: LockRecord, copy: string, at: Moment): Step<ClaimAnswer> {
  if (record.copy !== copy) return refusal(record, at, 'other-copy');
  return refusal({ ...record, stop: true }, at, 'same-copy');
}

/** Only the message's own sequence may mark: a fresh one would make older arguments the newest. */
function leanOnRunning(record: LockRecord, claim: RunningClaim, at: Moment): Step<ClaimAnswer> {
  const { seq = 0, expires = 0 } = claim;
  if (claim.offer === undefined || !takesOffers(record) || seq <= carried(record))
    return refusal(outlive(record, expires), at, undefined);
  return refusal(offer(record, { seq, args: claim.offer.args }), at, undefined, true);
}
