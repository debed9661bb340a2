import { pause, type Clock } from '../clock.js';
import { DuplicateTaskError, type LeaseLostError } from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { ClaimAnswer, Guard, Holder, Identity, RunningClaim } from '../guard.js';
import type { Signals } from '../signals.js';
import type { Soon } from '../soon.js';
import type { OnDuplicate } from '../task-definition.js';
import { coalesces, leaseOf, ownRecordName, survives, workerPolicy } from '../declarations/uniqueness.js';
import { Lease, type Grant } from './lease.js';
import type { Outcome } from './outcome.js';
import type { Run } from './run.js';
import type { Seat } from './seat.js';

/** What claims work with. */
export interface ClaimParts {
  readonly guard: Guard;
  readonly fences: FenceSource;
  readonly clock: Clock;
  readonly signals: Signals;
  readonly draining: AbortSignal;
  readonly namespace: string;
}

/** How often a waiting delivery looks whether the key is free, ms: an earlier attempt that heeds its signal ends early. */
const LOOK = 500;
/** Tries without a decision, about four seconds of them, before the message goes back. */
const TRIES = 8;

/** The longest wait for a turn, ms: a key comes free before its holder's time is over. */
const LONGEST_TURN = 5_000;

type Held = Extract<ClaimAnswer, { outcome: 'held' }>;

/** One delivery's way to its key. */
interface Attempt {
  readonly undecided: Identity[];
  seen: number;
  trouble: number;
  announced: boolean;
}

/**
 * The next step after an answer: an end, or a wait before the next claim. What waits for somebody else's lock leaves its
 * seat; what waits for Redis keeps it, so that an outage stops the worker instead of sending its queue round and round.
 */
type Step = Outcome | { readonly kind: 'wait'; readonly ms: number; readonly seated: boolean };

/** Its sequence is a fence that Redis took at enqueue; else it is the word of a producer's clock, which may be slow. */
const claimed = ({ lock }: Run): boolean => lock?.mode === 'enqueue';

/**
 * By what a run that has ended covers a message. A sequence of the clock orders arguments, but it does not prove that the
 * run began later. Who waits for its turn, or was told that it was enqueued (`reject`), is covered by its own run alone.
 */
function doneBy(run: Run, onDuplicate: OnDuplicate): RunningClaim['strategy'] {
  if (onDuplicate === 'discard') return 'discard';
  return onDuplicate === 'coalesce' && claimed(run) ? 'coalesce' : 'requeue';
}

/** The broker's shortest delay is a second. */
const parked = (ms: number): Outcome => ({ kind: 'parked', delay: Math.max(1_000, ms) });

/** The worker's half of the lock: a delivery gets its key, or an outcome that says why not. */
export class Claimer {
  readonly #parts: ClaimParts;

  constructor(parts: ClaimParts) {
    this.#parts = parts;
  }

  /** Undefined when the run holds its key (or needs none). */
  claim(run: Run, seat: Seat): Soon<Outcome | undefined> {
    return run.record === undefined ? undefined : this.#claim(run, run.record, seat);
  }

  #claim(run: Run, record: string, seat: Seat): Promise<Outcome | undefined> {
    const attempt = this.#attempt(run);
    return this.#next(run, record, attempt).then((step) => step && this.#goOn(run, record, seat, attempt, step));
  }

  /** After the first claim, when it did not get the key. */
  async #goOn(run: Run, record: string, seat: Seat, attempt: Attempt, first: Step): Promise<Outcome | undefined> {
    for (let step: Step | undefined = first; step !== undefined;) {
      if (step.kind !== 'wait') return this.#end(run, attempt, step);
      run.stage = 'waiting';
      if (step.seated) await pause(this.#parts.clock, step.ms, this.#parts.draining);
      else if (!(await seat.wait(step.ms))) return this.#end(run, attempt, parked(step.ms));
      step = await this.#next(run, record, attempt);
    }
    return undefined;
  }

  /** One more claim, unless it is too late for any. Undefined when the run holds its key. */
  #next(run: Run, record: string, attempt: Attempt): Promise<Step | undefined> {
    if (run.delivery.stale || this.#parts.draining.aborted) return Promise.resolve({ kind: 'returned' });
    run.stage = 'claiming';
    return this.#once(run, record, attempt);
  }

  /** A run that is under way without a record gets one, under its own id. False when that cannot be had now. */
  async adopt(run: Run): Promise<boolean> {
    if (run.lease !== undefined) return true;
    run.record = ownRecordName(this.#parts.namespace, run.head.task, run.head.id);
    const attempt = this.#attempt(run);
    const step = await this.#once(run, run.record, attempt);
    if (step !== undefined) await this.#end(run, attempt, { kind: 'returned' });
    return step === undefined;
  }

  /**
   * After the grant and before the body: of its own arguments and those kept with the key the newest run. Read earlier,
   * one that lands in between would be missed; one that lands later refuses the release.
   */
  newest(run: Run): Soon<Outcome | undefined> {
    const { lease } = run;
    const none = lease === undefined || !(coalesces(run.definition) || run.rerun > 0);
    return none ? undefined : this.#newest(run, lease);
  }

  async #newest(run: Run, lease: Lease): Promise<Outcome | undefined> {
    for (let tries = 1; ; tries++) {
      const kept = await this.#parts.guard.newest(lease.record, lease.identity);
      if (kept !== 'unknown') {
        if (kept !== 'none' && kept.seq > run.sequence) run.take(kept);
        return undefined;
      }
      if (tries > TRIES || run.aborted !== undefined) return { kind: 'returned' };
      await pause(this.#parts.clock, this.#backoff(tries), this.#parts.draining);
    }
  }

  #attempt(run: Run): Attempt {
    run.nonce ??= this.#parts.clock.uuid().slice(0, 8);
    return { undecided: [], seen: 0, trouble: 0, announced: false };
  }

  #once(run: Run, record: string, attempt: Attempt): Promise<Step | undefined> {
    const { guard, fences, clock } = this.#parts;
    const { nonce = '', rerun } = run;
    const owner = run.head.id;
    const fence = fences.next(attempt.seen);
    const identity = { owner, fence, nonce };
    const { onDuplicate } = workerPolicy(run.definition);
    const lease = leaseOf(run.definition);
    const { copy, attempt: begun, expires } = run.head;
    const sent = clock.monotonic();
    const args = onDuplicate === 'coalesce' ? run.offer() : undefined;
    // Written out: a literal with a spread takes several times as long.
    const claim = {
      owner,
      fence,
      nonce,
      // A redelivery of what goes on without its delivery is like other copies: it must not stop the run.
      copy: survives(run.definition) ? nonce : copy,
      seq: run.lock?.fence,
      lease,
      strategy: doneBy(run, onDuplicate),
      rerun: rerun > 0,
      // A run that began waits for ever: whoever it leans on has to do so as well.
      expires: begun === 1 ? expires : undefined,
      offer: args === undefined ? undefined : { args },
    };
    const grant = { record, identity, lease, sent };
    return guard.claimRunning(record, claim).then((answer) => this.#answered(run, attempt, grant, answer));
  }

  #answered(run: Run, attempt: Attempt, grant: Grant, answer: ClaimAnswer): Step | undefined {
    const took = this.#parts.clock.monotonic() - grant.sent;
    if (answer.outcome === 'granted' && took < grant.lease) {
      run.claimSeconds = took / 1000;
      run.lease = new Lease(this.#parts, grant, (error) => this.#lost(run, error));
      return undefined;
    }
    if (answer.outcome === 'unknown' || answer.outcome === 'granted') attempt.undecided.push(grant.identity);
    return this.#read(run, attempt, answer);
  }

  #read(run: Run, attempt: Attempt, answer: ClaimAnswer): Step {
    switch (answer.outcome) {
      case 'done':
        return { kind: 'covered', own: answer.own, dead: answer.dead, id: answer.id };
      case 'held':
        return answer.own === undefined ? this.#refused(run, attempt, answer) : this.#again(run, attempt, answer);
      case 'fence':
        attempt.seen = answer.highest;
        return { kind: 'wait', ms: 0, seated: true };
      case 'granted':
      case 'clock':
      case 'unknown':
      case 'unavailable':
        return this.#trouble(attempt, answer);
    }
  }

  /** Held by another task. A holder that publishes is no evidence: its message may not exist. */
  #refused(run: Run, attempt: Attempt, answer: Held): Step {
    const { holder } = answer;
    const { definition } = run;
    if (holder.phase === 'publishing') return { kind: 'wait', ms: this.#backoff(1), seated: false };
    if (holder.phase === 'kept') return { kind: 'discarded', holder };
    switch (workerPolicy(definition).onDuplicate) {
      case 'discard':
        return { kind: 'discarded', holder };
      case 'coalesce':
        return this.#handedOver(run, attempt, answer);
      case 'requeue':
        return this.#turn(run, holder);
      case 'reject':
        // What `@Task` rejects it rejects at enqueue: the caller of this message was told that it was enqueued.
        return definition?.shouldCompute === undefined ? this.#turn(run, holder) : rejected(run, holder);
    }
  }

  /**
   * Every key has room for one: the others wait with the broker, each time half as long again as they have waited
   * already, within bounds.
   */
  #turn(run: Run, { left }: Holder): Step {
    const { clock, signals } = this.#parts;
    signals.emit('lock:waiting', { ...run.event(), left });
    const waited = clock.now() - (run.head.enqueuedAt ?? 0);
    return parked(Math.min(waited / 2, LONGEST_TURN) * (0.5 + clock.random() / 2));
  }

  /**
   * The holder took the arguments, or has newer ones. Where nobody can say which are newer, or they are too large for
   * Redis, the message waits its turn.
   */
  #handedOver(run: Run, attempt: Attempt, answer: Held): Step {
    const { holder, offered } = answer;
    const { sequence } = run;
    const covered = holder.phase === 'queued' || claimed(run);
    if (offered || (sequence > 0 && covered && holder.seq >= sequence)) return { kind: 'coalesced', holder, offered };
    if (sequence > 0 && claimed(run) && run.offer() !== undefined) return this.#trouble(attempt, answer);
    return this.#turn(run, holder);
  }

  /**
   * Held by another attempt of this very task. The same copy was delivered again: its holder is stopped by now, and its
   * lease is waited out. Another copy is left alone; two that stopped each other would never end.
   */
  #again(run: Run, attempt: Attempt, { own, holder }: Held): Step {
    if (own === 'other-copy') return parked(holder.left);
    if (!attempt.announced) this.#parts.signals.emit('lock:waiting', { ...run.event(), left: holder.left });
    attempt.announced = true;
    return { kind: 'wait', ms: Math.min(holder.left + 1, LOOK * (0.5 + this.#parts.clock.random())), seated: false };
  }

  /** Nobody knows, or Redis is away. */
  #trouble(attempt: Attempt, answer: ClaimAnswer): Step {
    if (answer.outcome === 'clock' && attempt.trouble === 0) {
      const message = `the clock of this worker is ${Math.round(answer.skew / 1000)} s ahead of Redis's: it can run nothing`;
      this.#parts.signals.emit('redis:warning', { message });
    }
    attempt.trouble++;
    if (attempt.trouble > TRIES) return { kind: 'returned' };
    return { kind: 'wait', ms: this.#backoff(attempt.trouble), seated: true };
  }

  #backoff(round: number): number {
    return Math.min(20 * 2 ** round, 1_000) * (0.5 + this.#parts.clock.random());
  }

  /** Before a message is dropped or goes its way, no claim of it may be left that could still be executed. */
  async #end(run: Run, attempt: Attempt, outcome: Outcome): Promise<Outcome> {
    const { record } = run;
    if (record === undefined || attempt.undecided.length === 0) return outcome;
    const answers = await Promise.all(attempt.undecided.map((identity) => this.#parts.guard.abandon(record, identity)));
    if (answers.every((answer) => answer === 'ok')) return outcome;
    await pause(this.#parts.clock, 1_000, this.#parts.draining);
    return { kind: 'returned' };
  }

  #lost(run: Run, error: LeaseLostError): void {
    this.#parts.signals.emit('lock:lost', { ...run.event(), error });
    run.abort(error);
  }
}

function rejected(run: Run, { owner, phase }: Holder): Outcome {
  const { task, key } = run.event();
  const text = `${task}: the key ${key} is held by task ${owner} (${phase})`;
  const error = new DuplicateTaskError(text, { task, key, holder: owner, phase });
  return { kind: 'dead', code: error.code, error };
}
