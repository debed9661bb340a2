import { readArguments } from '../celery-protocol.js';
import { pause, type Clock } from '../clock.js';
import type { DirectCall } from '../declarations/guarded-method.js';
import { unpack } from '../declarations/payload.js';
import { PUBLISH_WINDOW, workerPolicy } from '../declarations/uniqueness.js';
import {
  ClosedError,
  DuplicateTaskError,
  DuplicateUndecidedError,
  LeaseLostError,
  LockUnavailableError,
  toError,
} from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { ClaimAnswer, Guard, Holder, Identity, KeptArguments, RunningClaim } from '../guard.js';
import type { RunEvent, Signals } from '../signals.js';
import { Entry, runInScope } from '../task-context.js';
import type { TaskDefinition } from '../task-definition.js';
import { freshCopy, type Transport } from '../transport.js';
import { LONGEST_RERUNS, MOST_RERUNS } from './ack-policy.js';
import { takeOver } from './direct-message.js';
import { Lease } from './lease.js';
import { RunContext, type RunView } from './run-context.js';

/** What plain calls work with. */
export interface DirectParts {
  readonly guard: Guard;
  /** For arguments that arrived during the call, when somebody else has to run with them. */
  readonly transport: Transport;
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
  /** Under `coalesce`: the arguments of the call, as a key keeps them. */
  readonly args: string | undefined;
}

/** How long an unreachable Redis is waited for, ms: a restart, not an outage. */
const REACH = 1_000;
/** Tries of an abandon or a release while Redis does not answer. */
const TRIES = 5;
/** After a message that could not be published, ms. */
const PAUSE = 1_000;

const backoff = (clock: Clock, round: number): number => Math.min(10 * 2 ** round, 1_000) * (0.5 + clock.random());

const highest = (answer: ClaimAnswer, seen: number): number => {
  if (answer.outcome === 'fence') return answer.highest;
  return answer.outcome === 'held' ? Math.max(seen, answer.holder.fence, answer.holder.seq) : seen;
};

type Body = Pick<DirectCall, 'prototype' | 'body'>;

/** How a body ended: by what it threw, whatever that is, or by a value. */
type Ending = { readonly failed: true; readonly thrown: unknown } | { readonly failed: false; readonly value: unknown };

/** One plain call of a guarded method: it has a lock and a context as a delivery's run has, and no message. */
export class DirectRun implements RunView {
  readonly head: RunView['head'];
  readonly lock: { readonly key: string };
  readonly delivery = { redelivered: false };
  rerun = 0;
  lease: Lease | undefined;
  /** What it runs with, under `coalesce`. */
  #kept: KeptArguments | undefined;
  /** Its own arguments. */
  #own: KeptArguments | undefined;
  /** By `clock.monotonic()`. */
  #began = 0;
  readonly #parts: DirectParts;
  readonly #key: DirectKey;
  readonly #controller = new AbortController();
  readonly #undecided: Identity[] = [];
  readonly #nonce: string;
  readonly #copy: string;

  constructor(parts: DirectParts, key: DirectKey) {
    this.#parts = parts;
    this.#key = key;
    this.head = { id: parts.clock.uuid(), task: key.definition.name, attempt: 1, enqueuedAt: undefined };
    this.lock = { key: key.key };
    this.#nonce = parts.clock.uuid().slice(0, 8);
    this.#copy = freshCopy(parts.clock);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  event(): RunEvent {
    const { id, task, attempt } = this.head;
    return { task, id, key: this.lock.key, queue: this.#key.definition.queue, attempt };
  }

  /**
   * Runs the body once it has the key. Resolves to undefined when another task has it; under `coalesce` that one has the
   * arguments then.
   *
   * @throws DuplicateTaskError under `reject`; DuplicateUndecidedError, LockUnavailableError, ClosedError before the body;
   * LeaseLostError after it, when another run may have begun beside it; and what the body throws.
   */
  async run(call: Body): Promise<unknown> {
    const claimed = await this.#claim();
    if (!(claimed instanceof Lease)) return this.#refused(claimed);
    this.#began = this.#parts.clock.monotonic();
    const ending = await (this.#key.args === undefined ? this.#only(call, claimed) : this.#all(call, claimed));
    if (ending.failed) throw ending.thrown;
    return ending.value;
  }

  /** A throw lets the key go, and calls nothing done. */
  async #only(call: Body, lease: Lease): Promise<Ending> {
    const ending = await this.#once(call, lease);
    if (ending.failed) {
      await this.#abandon(lease.identity);
      return ending;
    }
    // Of what nobody knows the lease makes an end; it held all the time.
    if ((await this.#release(lease, ending)) === 'marked') await this.#abandon(lease.identity);
    return ending;
  }

  /**
   * Under `coalesce`: runs until no newer arguments wait, or a message has been published that runs with them. How the
   * first run ended is how the call ends: the others are somebody else's.
   */
  async #all(call: Body, granted: Lease): Promise<Ending> {
    let first: Ending | undefined;
    for (let lease: Lease | undefined = granted; lease !== undefined;) {
      await this.#demandNewest(lease);
      const ending = await this.#once(call, lease);
      first ??= ending;
      await this.#refuseLost(lease);
      lease = await this.#next(ending, lease);
    }
    return first as Ending;
  }

  /** Never rejects. What an aborted body returned counts for nothing. */
  async #once({ prototype, body }: Body, lease: Lease): Promise<Ending> {
    this.lease = lease;
    const { definition } = this.#key;
    const entry = new Entry(definition.service, definition.method, prototype);
    const context = new RunContext(this, this.#parts.signals);
    try {
      const newest = this.#taken();
      const value: unknown = await runInScope({ context, app: this.#parts.app, entry }, () => body(newest));
      this.signal.throwIfAborted();
      return { failed: false, value };
    } catch (thrown) {
      return { failed: true, thrown };
    } finally {
      lease.stop();
    }
  }

  /** Arguments that came from the key; undefined: the call's own. */
  #taken(): readonly unknown[] | undefined {
    if (this.#kept === undefined || this.#kept === this.#own) return undefined;
    const { args, kwargs } = readArguments(this.#kept.args);
    return unpack(this.#key.definition, args, kwargs);
  }

  /** After a grant, and before the body: what is kept with the key may be newer. */
  async #demandNewest(lease: Lease): Promise<void> {
    const { record, identity } = lease;
    if (!(await this.#takeNewest(lease))) {
      lease.stop();
      await this.#abandon(identity);
      throw new LockUnavailableError('Redis did not tell which arguments are the newest; nothing was begun', {
        record,
      });
    }
    lease.check();
    await this.#refuseLost(lease);
  }

  /** False: nobody knows. */
  async #takeNewest({ record, identity }: Lease): Promise<boolean> {
    const newest = await this.#repeat(() => this.#parts.guard.newest(record, identity));
    if (typeof newest === 'object' && newest.seq > (this.#kept?.seq ?? 0)) this.#kept = newest;
    return newest !== 'unknown';
  }

  async #refuseLost({ identity }: Lease): Promise<void> {
    if (!this.signal.aborted) return;
    await this.#abandon(identity);
    throw toError(this.signal.reason);
  }

  /** The lease of the next run; undefined when none is to come, or it is somebody else's. */
  async #next(ending: Ending, lease: Lease): Promise<Lease | undefined> {
    const { clock, closing, signals } = this.#parts;
    // Of the first run the caller hears; the arguments of a later one are others', and a worker gives them all attempts.
    const failed = this.rerun > 0 && ending.failed;
    if (failed) {
      const error = toError(ending.thrown);
      signals.emit('task:failed', { ...this.event(), error, seconds: this.#age() / 1_000 });
    }
    const answer = failed ? 'marked' : await this.#release(lease, ending);
    if (answer === 'ok') return undefined;
    const moves = this.rerun >= MOST_RERUNS || this.#age() >= LONGEST_RERUNS || closing.aborted;
    if (failed || moves || answer === 'unknown') {
      if (await this.#handOver(lease)) return undefined;
      await pause(clock, PAUSE, closing);
    }
    this.rerun++;
    const claimed = await this.#claim();
    return claimed instanceof Lease ? claimed : undefined;
  }

  #age(): number {
    return this.#parts.clock.monotonic() - this.#began;
  }

  /** A run that ends well covers what was enqueued before it began. Refused while newer arguments wait for one more. */
  async #release({ record, identity }: Lease, { failed }: Ending): Promise<'ok' | 'marked' | 'unknown'> {
    const end = {
      // A failure covers nobody, and leaves arguments to whoever comes.
      seq: failed ? 0 : (this.#kept?.seq ?? 0),
      dead: failed,
      keep: workerPolicy(this.#key.definition).keepFor,
    };
    const answer = await this.#repeat(() => this.#parts.guard.release(record, identity, end));
    if (answer !== 'lost') return answer;
    throw new LeaseLostError('the lock was lost while the body ran', { record, fence: identity.fence });
  }

  /**
   * What is left becomes a message under this call's id, for a worker. The key waits for the publish alone until there is
   * one. False: it cannot be published, and the call goes on itself.
   *
   * @throws that error when the app closes; the arguments stay with the key for its next run.
   */
  async #handOver(lease: Lease): Promise<boolean> {
    const { guard, transport, clock, signals, publishTimeout, closing } = this.#parts;
    const { definition, record } = this.#key;
    const { identity } = lease;
    const held = await this.#repeat(() => guard.hold(record, identity, publishTimeout + PUBLISH_WINDOW));
    // Released after all, or somebody else's by now, together with the arguments.
    if (held === 'lost') return true;
    if ((await this.#takeNewest(lease)) && this.#kept === this.#own) {
      // Nobody had said whether newer ones wait: there are none.
      await this.#abandon(identity);
      return true;
    }
    const { queue, name: task } = definition;
    try {
      const frame = takeOver(definition, { ...this.head, key: this.lock.key, kept: this.#kept, now: clock.now() });
      await transport.publish({ queue, frame, timeout: publishTimeout });
    } catch (thrown) {
      const error = toError(thrown);
      signals.emit('publish:failed', { ...this.event(), to: queue, error });
      if (!closing.aborted) return false;
      await this.#abandon(identity);
      throw error;
    }
    const { ttl } = workerPolicy(definition);
    await this.#repeat(() => guard.confirm(record, identity, ttl));
    const { id } = this.head;
    signals.emit('task:enqueued', { task, id, key: this.lock.key, queue, delay: 0, unguarded: false });
    return true;
  }

  #refused(holder: Holder): undefined {
    const { owner, phase } = holder;
    const { task, id, key } = this.event();
    const { signals } = this.#parts;
    if (this.#offer !== undefined && phase !== 'kept') {
      signals.emit('task:coalesced', { task, id, key, holder: { id: owner, phase }, side: 'call' });
      return undefined;
    }
    if (phase !== 'kept' && workerPolicy(this.#key.definition).onDuplicate === 'reject') {
      throw new DuplicateTaskError(`${task}: the key ${key} is held by task ${owner} (${phase})`, {
        task,
        key,
        holder: owner,
      });
    }
    const reason = phase === 'publishing' ? 'queued' : phase;
    signals.emit('task:discarded', { task, id, key, holder: { id: owner, phase }, side: 'call', reason });
  }

  /** For a holder of the key. What a re-run carries was taken from the key. */
  get #offer(): string | undefined {
    const { definition, args } = this.#key;
    return workerPolicy(definition).onDuplicate === 'coalesce' && this.rerun === 0 ? args : undefined;
  }

  async #claim(): Promise<Lease | Holder> {
    const { clock, fences, closing, guard } = this.#parts;
    const { definition, record, args } = this.#key;
    const { lease } = workerPolicy(definition);
    const began = clock.monotonic();
    let seen = 0;
    for (let round = 0; ; round++) {
      // A call that is made now has the newest arguments: as a producer's they are proposed again, under a larger sequence.
      if (args !== undefined && this.rerun === 0) this.#kept = this.#own = { seq: fences.next(seen), args };
      const identity = { owner: this.head.id, fence: fences.next(Math.max(seen, this.#kept?.seq ?? 0)) };
      const sent = clock.monotonic();
      const answer = await guard.claimRunning(record, this.#asked(identity));
      if (answer.outcome === 'granted' && clock.monotonic() - sent < lease)
        return this.#hold({ record, identity, lease, sent });
      if (answer.outcome === 'unknown' || answer.outcome === 'granted') this.#undecided.push(identity);
      seen = highest(answer, seen);
      if (this.#isEvidence(answer) && (await this.#withdraw())) return answer.holder;
      await this.#giveUp(answer, clock.monotonic() - began);
      if (answer.outcome !== 'fence') await pause(clock, backoff(clock, round), closing);
    }
  }

  /** By id alone: a finished run of somebody else covers no call that is made now. */
  #asked(identity: Identity): RunningClaim {
    const offer = this.#offer;
    return {
      ...identity,
      nonce: this.#nonce,
      copy: this.#copy,
      lease: workerPolicy(this.#key.definition).lease,
      seq: this.#kept?.seq,
      strategy: 'requeue',
      rerun: this.rerun > 0,
      offer: offer === undefined ? undefined : { args: offer },
    };
  }

  #hold(grant: { record: string; identity: Identity; lease: number; sent: number }): Lease {
    return new Lease(this.#parts, grant, (error) => {
      this.#parts.signals.emit('lock:lost', { ...this.event(), error });
      this.#controller.abort(error);
    });
  }

  /**
   * Under `requeue` a call is never refused, under `coalesce` not before its arguments were taken; a holder that publishes
   * proves nothing, its message may not exist.
   */
  #isEvidence(answer: ClaimAnswer): answer is Extract<ClaimAnswer, { outcome: 'held' }> {
    if (answer.outcome !== 'held' || answer.holder.phase === 'publishing') return false;
    if (this.#offer !== undefined && answer.holder.phase !== 'kept') return answer.offered;
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
