import { pause, type Clock } from '../clock.js';
import type { DirectCall } from '../declarations/guarded-method.js';
import { workerPolicy } from '../declarations/uniqueness.js';
import {
  ClosedError,
  DuplicateTaskError,
  DuplicateUndecidedError,
  LeaseLostError,
  LockUnavailableError,
} from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { ClaimAnswer, Guard, Holder, Identity } from '../guard.js';
import type { RunEvent, Signals } from '../signals.js';
import { Entry, runInScope } from '../task-context.js';
import type { TaskDefinition } from '../task-definition.js';
import { freshCopy } from '../transport.js';
import { Lease } from './lease.js';
import { RunContext, type RunView } from './run-context.js';

/** What plain calls work with. */
export interface DirectParts {
  readonly guard: Guard;
  readonly fences: FenceSource;
  readonly clock: Clock;
  readonly signals: Signals;
  /** How long to ask who has the key, ms. */
  readonly publishTimeout: number;
  /** Aborts when the app closes: nobody waits for a turn any longer. */
  readonly closing: AbortSignal;
  readonly app: object;
}

/** The key that a plain call takes, and the task that it belongs to. */
export interface DirectKey {
  readonly definition: TaskDefinition;
  readonly key: string;
  /** Name of the key's record. */
  readonly record: string;
}

/** How long an unreachable Redis is waited for, ms: a restart, not an outage. */
const REACH = 1_000;
/** Tries of an abandon or a release while Redis does not answer. */
const TRIES = 5;

const backoff = (clock: Clock, round: number): number => Math.min(10 * 2 ** round, 1_000) * (0.5 + clock.random());

/** One plain call of a guarded method: it has a lock and a context as a delivery's run has, and no message. */
export class DirectRun implements RunView {
  readonly head: RunView['head'];
  readonly lock: { readonly key: string };
  readonly delivery = { redelivered: false };
  readonly rerun = 0;
  lease: Lease | undefined;
  readonly #parts: DirectParts;
  readonly #key: DirectKey;
  readonly #controller = new AbortController();
  readonly #undecided: Identity[] = [];

  constructor(parts: DirectParts, key: DirectKey) {
    this.#parts = parts;
    this.#key = key;
    this.head = { id: parts.clock.uuid(), task: key.definition.name, attempt: 1, enqueuedAt: undefined };
    this.lock = { key: key.key };
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  event(): RunEvent {
    const { id, task, attempt } = this.head;
    return { task, id, key: this.lock.key, queue: this.#key.definition.queue, attempt };
  }

  /**
   * Runs the body once it has the key. Resolves to undefined when another task has it.
   *
   * @throws DuplicateTaskError under `reject`; DuplicateUndecidedError, LockUnavailableError, ClosedError before the body;
   * LeaseLostError after it, when another run may have begun beside it; and what the body throws.
   */
  async run({ prototype, body }: Pick<DirectCall, 'prototype' | 'body'>): Promise<unknown> {
    const claimed = await this.#claim();
    if (!(claimed instanceof Lease)) return this.#refused(claimed);
    this.lease = claimed;
    const { definition } = this.#key;
    const entry = new Entry(definition.service, definition.method, prototype);
    const context = new RunContext(this, this.#parts.signals);
    try {
      const value: unknown = await runInScope({ context, app: this.#parts.app, entry }, () => body());
      this.signal.throwIfAborted();
      await this.#release(claimed);
      return value;
    } catch (error) {
      claimed.stop();
      await this.#abandon(claimed.identity);
      throw error;
    }
  }

  /** A run that ends here covers what was enqueued before it began, as every run does. */
  async #release({ record, identity }: Lease): Promise<void> {
    this.lease?.stop();
    const end = { seq: 0, dead: false, keep: workerPolicy(this.#key.definition).keepFor };
    const answer = await this.#repeat(() => this.#parts.guard.release(record, identity, end));
    // Of what nobody knows the lease makes an end; it held all the time.
    if (answer === 'lost')
      throw new LeaseLostError('the lock was lost while the body ran', { record, fence: identity.fence });
    if (answer === 'marked') await this.#abandon(identity);
  }

  #refused(holder: Holder): undefined {
    const { owner, phase } = holder;
    const { task, id, key } = this.event();
    if (phase !== 'kept' && workerPolicy(this.#key.definition).onDuplicate === 'reject') {
      throw new DuplicateTaskError(`${task}: the key ${key} is held by task ${owner} (${phase})`, {
        task,
        key,
        holder: owner,
      });
    }
    const reason = phase === 'publishing' ? 'queued' : phase;
    this.#parts.signals.emit('task:discarded', { task, id, key, holder: { id: owner, phase }, side: 'call', reason });
  }

  async #claim(): Promise<Lease | Holder> {
    const { clock, fences, closing, guard } = this.#parts;
    const { definition, record } = this.#key;
    const { lease } = workerPolicy(definition);
    const claim = { owner: this.head.id, nonce: clock.uuid().slice(0, 8), copy: freshCopy(clock), lease };
    const began = clock.monotonic();
    let seen = 0;
    for (let round = 0; ; round++) {
      const identity = { owner: claim.owner, fence: fences.next(seen) };
      const sent = clock.monotonic();
      // By id alone: a finished run of somebody else covers no call that is made now.
      const answer = await guard.claimRunning(record, { ...claim, ...identity, seq: undefined, strategy: 'requeue' });
      if (answer.outcome === 'granted' && clock.monotonic() - sent < lease)
        return this.#hold({ record, identity, lease, sent });
      if (answer.outcome === 'unknown' || answer.outcome === 'granted') this.#undecided.push(identity);
      if (answer.outcome === 'fence') seen = answer.highest;
      if (this.#isEvidence(answer) && (await this.#withdraw())) return answer.holder;
      await this.#giveUp(answer, clock.monotonic() - began);
      if (answer.outcome !== 'fence') await pause(clock, backoff(clock, round), closing);
    }
  }

  #hold(grant: { record: string; identity: Identity; lease: number; sent: number }): Lease {
    return new Lease(this.#parts, grant, (error) => {
      this.#parts.signals.emit('lock:lost', { ...this.event(), error });
      this.#controller.abort(error);
    });
  }

  /** Under `requeue` a call is never refused; a holder that publishes proves nothing, its message may not exist. */
  #isEvidence(answer: ClaimAnswer): answer is Extract<ClaimAnswer, { outcome: 'held' }> {
    if (answer.outcome !== 'held' || answer.holder.phase === 'publishing') return false;
    return answer.holder.phase === 'kept' || workerPolicy(this.#key.definition).onDuplicate !== 'requeue';
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
    const answers = await Promise.all(this.#undecided.map((identity) => this.#abandon(identity)));
    return answers.every((answer) => answer === 'ok');
  }

  #abandon(identity: Identity): Promise<'ok' | 'unknown'> {
    return this.#repeat(() => this.#parts.guard.abandon(this.#key.record, identity));
  }

  async #repeat<A>(ask: () => Promise<A | 'unknown'>): Promise<A | 'unknown'> {
    let answer = await ask();
    for (let tries = 0; answer === 'unknown' && tries < TRIES; tries++) {
      await pause(this.#parts.clock, 50 * 2 ** tries);
      answer = await ask();
    }
    return answer;
  }
}
