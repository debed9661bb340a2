import { pause, type Clock } from '../clock.js';
import { workerPolicy } from '../declarations/uniqueness.js';
import { ClosedError, DuplicateUndecidedError, LockUnavailableError } from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { ClaimAnswer, Guard, Holder, Identity, KeptArguments, Offer, RunningClaim } from '../guard.js';
import type { TaskDefinition } from '../task-definition.js';
import { freshCopy } from '../transport.js';
import { insist } from './insist.js';
import type { Grant } from './lease.js';

/** What the claims of plain calls work with. */
export interface DirectClaimParts {
  readonly guard: Guard;
  readonly fences: FenceSource;
  readonly clock: Clock;
  /** How long to ask who has the key, ms. */
  readonly publishTimeout: number;
  /** Aborts when the app closes: nobody waits for a turn any longer. */
  readonly closing: AbortSignal;
}

/** The key that a plain call takes, and the task that it belongs to. */
export interface DirectKey {
  readonly definition: TaskDefinition;
  readonly key: string;
  /** Name of the key's record. */
  readonly record: string;
  /** Under `coalesce`: the arguments of the call, as a key keeps them. */
  readonly args: string | undefined;
}

/** How long an unreachable Redis is waited for, ms: a restart, not an outage. */
const REACH = 1_000;

type Held = Extract<ClaimAnswer, { outcome: 'held' }>;

const backoff = (clock: Clock, round: number): number => Math.min(10 * 2 ** round, 1_000) * (0.5 + clock.random());

const highest = (answer: ClaimAnswer, seen: number): number => {
  if (answer.outcome === 'fence') return answer.highest;
  return answer.outcome === 'held' ? Math.max(seen, answer.holder.fence, answer.holder.seq) : seen;
};

/** How a plain call gets its key: it asks until somebody has decided. */
export class DirectClaim {
  readonly #parts: DirectClaimParts;
  readonly #key: DirectKey;
  readonly #owner: string;
  readonly #nonce: string;
  readonly #copy: string;
  readonly #undecided: Identity[] = [];
  #own: KeptArguments | undefined;

  constructor(parts: DirectClaimParts, key: DirectKey, owner: string) {
    this.#parts = parts;
    this.#key = key;
    this.#owner = owner;
    this.#nonce = parts.clock.uuid().slice(0, 8);
    this.#copy = freshCopy(parts.clock);
  }

  /** The arguments of the call, as they were proposed last; undefined without `coalesce`. */
  get own(): KeptArguments | undefined {
    return this.#own;
  }

  /** Whether a holder of the key is to take the arguments of the call. */
  get offers(): boolean {
    return workerPolicy(this.#key.definition).onDuplicate === 'coalesce';
  }

  /**
   * Its granted claim, or who has the key; under `coalesce` the holder has the arguments of the call by then.
   *
   * @param kept what a re-run brings, and offers to nobody: it came from the key.
   * @throws DuplicateUndecidedError, LockUnavailableError, ClosedError
   */
  async claim(kept?: KeptArguments): Promise<Grant | Holder> {
    const { clock, closing, guard } = this.#parts;
    const { definition, record } = this.#key;
    const { lease } = workerPolicy(definition);
    const began = clock.monotonic();
    let seen = 0;
    for (let round = 0; ; round++) {
      const claim = this.#next(seen, kept);
      const { owner, fence, nonce } = claim;
      const sent = clock.monotonic();
      const answer = await guard.claimRunning(record, claim);
      const identity = { owner, fence, nonce };
      if (answer.outcome === 'granted' && clock.monotonic() - sent < lease) return { record, identity, lease, sent };
      if (answer.outcome === 'unknown' || answer.outcome === 'granted') this.#undecided.push(identity);
      seen = highest(answer, seen);
      if (this.#isEvidence(answer, claim.offer) && (await this.#withdraw())) return answer.holder;
      await this.#giveUp(answer, clock.monotonic() - began);
      if (answer.outcome !== 'fence') await pause(clock, backoff(clock, round), closing);
    }
  }

  /** Frees what that claim has, and refuses it when it is late. */
  abandon(identity: Identity): Promise<'ok' | 'unknown'> {
    return insist(this.#parts.clock, () => this.#parts.guard.abandon(this.#key.record, identity));
  }

  #next(seen: number, kept: KeptArguments | undefined): RunningClaim {
    const { fences } = this.#parts;
    const { definition, args } = this.#key;
    const { lease } = workerPolicy(definition);
    // A call that is made now has the newest arguments: as a producer's they are proposed again, under a larger sequence.
    if (kept === undefined && args !== undefined) this.#own = { seq: fences.next(seen), args };
    const seq = (kept ?? this.#own)?.seq;
    const offer = this.offers && kept === undefined ? this.#own : undefined;
    const identity = { owner: this.#owner, fence: fences.next(Math.max(seen, seq ?? 0)), nonce: this.#nonce };
    // By id alone: a finished run of somebody else covers no call that is made now.
    return { ...identity, copy: this.#copy, lease, seq, strategy: 'requeue', rerun: kept !== undefined, offer };
  }

  /**
   * Under `requeue` a call is never refused, under `coalesce` not before its arguments were taken; a holder that publishes
   * proves nothing, its message may not exist.
   */
  #isEvidence(answer: ClaimAnswer, offer: Offer | undefined): answer is Held {
    if (answer.outcome !== 'held' || answer.holder.phase === 'publishing') return false;
    if (answer.holder.phase === 'kept') return true;
    return offer === undefined ? workerPolicy(this.#key.definition).onDuplicate !== 'requeue' : answer.offered;
  }

  async #giveUp(answer: ClaimAnswer, waited: number): Promise<void> {
    const { record } = this.#key;
    const late = waited >= (answer.outcome === 'unavailable' ? REACH : this.#parts.publishTimeout);
    const turn = answer.outcome === 'held' && workerPolicy(this.#key.definition).onDuplicate === 'requeue';
    const closed = this.#parts.closing.aborted;
    if (!closed && (turn || !late) && answer.outcome !== 'clock') return;
    await this.#withdraw();
    if (closed) throw new ClosedError('the app was closed before the call got its key', { record });
    const cause = 'cause' in answer ? answer.cause : undefined;
    if (answer.outcome === 'clock' || answer.outcome === 'unavailable') {
      throw new LockUnavailableError(
        'Redis does not give the key, and without it the method is not called',
        { record },
        cause,
      );
    }
    throw new DuplicateUndecidedError('within publishTimeout nobody could say who has the key', { record }, cause);
  }

  /** Nothing is given up while a claim of ours may still be executed and then hold the key for nobody. */
  async #withdraw(): Promise<boolean> {
    const answers = await Promise.all(this.#undecided.map((identity) => this.abandon(identity)));
    return answers.every((answer) => answer === 'ok');
  }
}
