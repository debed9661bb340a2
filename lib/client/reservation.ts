import { pause, type Clock } from '../clock.js';
import { DuplicateUndecidedError, LockUnavailableError } from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { ClaimAnswer, Guard, Holder, Identity } from '../guard.js';
import { PUBLISH_WINDOW } from '../declarations/uniqueness.js';

/** Who asks for a key, and until when. */
export interface Wish {
  readonly record: string;
  /** Task id. */
  readonly owner: string;
  /** By `clock.monotonic()`. */
  readonly deadline: number;
  /** Epoch ms at which the message may be dropped; undefined: never. */
  readonly expires: number | undefined;
  /** A Redis that does not answer is given up like one that cannot be reached, in time for a publish without it. */
  readonly hasty: boolean;
  /** JSON text of the arguments, to be handed to a holder; undefined without `coalesce`. */
  readonly offer?: string | undefined;
}

/** The key is ours for the publish window, or somebody else will run (or runs) it; `offered`: with our arguments. */
export type Reserved = { readonly identity: Identity } | { readonly holder: Holder; readonly offered: boolean };

/** How long an unreachable Redis is waited for before the caller gets its error, ms: a restart, not an outage. */
const REACH = 1_000;

/** Once more than this part of the claims is refused, who waits is looked up first: a read costs half of a refusal. */
const FLOOD = 0.5;
/** Over about so many claims. */
const MEASURED = 16;

/** Waits between two claims, ms: short at first, for a publish is a matter of milliseconds. */
const backoff = (clock: Clock, round: number): number => Math.min(5 * 2 ** round, 250) * (0.5 + clock.random());

/** The producer's half of the lock: claims the publish window of a key, or finds out who has it. */
export class Reservation {
  readonly #guard: Guard;
  readonly #fences: FenceSource;
  readonly #clock: Clock;
  /** Which part of the last claims was refused. */
  #refused = 0;

  constructor(parts: { guard: Guard; fences: FenceSource; clock: Clock }) {
    this.#guard = parts.guard;
    this.#fences = parts.fences;
    this.#clock = parts.clock;
  }

  /**
   * @throws DuplicateUndecidedError when nothing was decided until the deadline.
   * @throws LockUnavailableError when Redis cannot be reached.
   */
  async reserve(wish: Wish): Promise<Reserved> {
    const { record, owner, expires = 0, offer } = wish;
    const offered = offer === undefined ? undefined : { args: offer };
    if (offer === undefined && this.#refused > FLOOD) {
      const holder = await this.#guard.waiting(record);
      if (holder !== undefined && holder.owner !== owner) return { holder, offered: false };
    }
    const undecided: Identity[] = [];
    const started = this.#clock.monotonic();
    let seen = 0;
    for (let round = 0; ; round++) {
      const fence = this.#fences.next(seen);
      const sent = this.#clock.monotonic();
      const claim = { owner, fence, window: PUBLISH_WINDOW, expires, offer: offered };
      const answer = this.#inTime(sent, await this.#guard.claimPublishing(record, claim));
      const identity = { owner, fence };
      this.#refused += (Number(answer.outcome === 'held') - this.#refused) / MEASURED;
      if (answer.outcome === 'granted') return { identity };
      if (answer.outcome === 'fence') {
        seen = answer.highest;
        if (this.#clock.monotonic() < wish.deadline) continue;
      }
      if (answer.outcome === 'unknown') undecided.push(identity);
      if (isEvidence(answer, wish) && (await this.#withdraw(record, undecided))) {
        return { holder: answer.holder, offered: answer.offered };
      }
      await this.#giveUpOrWait(wish, answer, { undecided, started, round });
    }
  }

  /** A grant that took longer than the window it grants is none (protocol.md, client rule 7). */
  #inTime(sent: number, answer: ClaimAnswer): ClaimAnswer {
    const late = answer.outcome === 'granted' && this.#clock.monotonic() - sent >= PUBLISH_WINDOW;
    return late ? { outcome: 'unknown', cause: undefined } : answer;
  }

  /** Nothing is dropped while a claim of ours may still be executed and then hold the key for nobody. */
  async #withdraw(record: string, undecided: Identity[]): Promise<boolean> {
    const answers = await Promise.all(undecided.map((identity) => this.#guard.abandon(record, identity)));
    return answers.every((answer) => answer === 'ok');
  }

  async #giveUpOrWait(
    wish: Wish,
    answer: ClaimAnswer,
    state: { undecided: Identity[]; started: number; round: number },
  ): Promise<void> {
    const now = this.#clock.monotonic();
    const reach = until(wish, answer, state.started);
    if (answer.outcome === 'clock' || now >= reach) {
      await this.#withdraw(wish.record, state.undecided);
      throw failure(wish, answer);
    }
    await pause(this.#clock, Math.min(backoff(this.#clock, state.round), reach - now));
  }
}

/**
 * `publishing` is never enough to drop anything: the message may not exist (client rule 2). Nor is a holder that did not
 * take what was offered, unless nobody runs after it for a while: it is offered again, with a larger fence.
 */
function isEvidence(answer: ClaimAnswer, { offer }: Wish): answer is Extract<ClaimAnswer, { outcome: 'held' }> {
  if (answer.outcome !== 'held' || answer.holder.phase === 'publishing') return false;
  return offer === undefined || answer.offered || answer.holder.phase === 'kept';
}

/** Until when an answer is followed by another claim. */
function until({ deadline, hasty }: Wish, { outcome }: ClaimAnswer, started: number): number {
  if (hasty && (outcome === 'unavailable' || outcome === 'unknown')) {
    return started + Math.min(REACH, (deadline - started) / 2);
  }
  return outcome === 'unavailable' ? Math.min(deadline, started + REACH) : deadline;
}

function failure(wish: Wish, answer: ClaimAnswer): Error {
  const data = { record: wish.record, id: wish.owner, answer: answer.outcome };
  const cause = 'cause' in answer ? answer.cause : undefined;
  if (answer.outcome === 'unavailable' || (wish.hasty && answer.outcome === 'unknown')) {
    return new LockUnavailableError(
      'Redis cannot be reached, so nobody can say whether this task is a duplicate; nothing was published',
      data,
      cause,
    );
  }
  if (answer.outcome === 'clock') {
    return new LockUnavailableError(
      `the clock of this machine is ${Math.round(answer.skew / 1000)} s ahead of Redis's: set it right; nothing was published`,
      data,
    );
  }
  return new DuplicateUndecidedError(
    'within publishTimeout nobody could say whether this task is a duplicate; nothing was published',
    data,
    cause,
  );
}
