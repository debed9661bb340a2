import { deadLetter, republish } from '../celery-protocol.js';
import { pause, type Clock } from '../clock.js';
import { PublishOutcomeUnknownError, TaskError, toError } from '../errors.js';
import type { Guard, HoldAnswer } from '../guard.js';
import type { Frame } from '../message.js';
import type { Signals } from '../signals.js';
import { after, type Soon } from '../soon.js';
import { deadQueue, type Transport } from '../transport.js';
import { coalesces, PUBLISH_WINDOW, workerPolicy } from '../declarations/uniqueness.js';
import { insist } from './insist.js';
import type { Lease } from './lease.js';
import type { Outcome } from './outcome.js';
import type { ResultKeeper } from './result-keeper.js';
import { ackedEarly, type Run } from './run.js';
import type { StandIns } from './stand-ins.js';

/** What the ack policy works with. */
export interface AckPolicyParts {
  readonly transport: Transport;
  readonly guard: Guard;
  readonly clock: Clock;
  readonly signals: Signals;
  readonly keeper: ResultKeeper;
  readonly standIns: StandIns;
  /** Bounds one publish of a retry or a dead letter, ms. */
  readonly publishTimeout: number;
  /** Aborts when the worker takes no more work. */
  readonly draining: AbortSignal;
}

const BURIED = new TaskError(
  'RECOVERED',
  'an earlier delivery of this message went to the dead letters; see there why',
);

const EXPIRED = new TaskError('EXPIRED', 'the message expired before its first run, and was dropped');

/** On one delivery, then other keys get their turn. */
export const MOST_RERUNS = 10;
/** ms */
export const LONGEST_RERUNS = 300_000;
/** Between two tries of a publish, ms: at first, and at most. */
const PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;

/** The delivery was acknowledged before its body began: it cannot be lost, nor given back. */
const gone = (run: Run): boolean => ackedEarly(run) || run.standIn !== undefined;

/**
 * The one place that turns an outcome into ack, put back, retry or dead letter. A message is acknowledged only after
 * its key's record says so; whatever is lost or unknown on the way puts it back. Earlier acks are those of `acksLate:
 * false` (executor.ts) and of long runs (stand-ins.ts).
 */
export class AckPolicy {
  readonly #parts: AckPolicyParts;

  constructor(parts: AckPolicyParts) {
    this.#parts = parts;
  }

  /** `again`: newer arguments arrived during the run, and the key is still held for them. */
  settle(run: Run, outcome: Outcome): Soon<'again' | undefined> {
    // What only waits is given back by a stop: with its copy on the way there would be two.
    run.stage = 'settling';
    return outcome.kind === 'succeeded' ? this.#finish(run, outcome.value) : this.#settle(run, outcome);
  }

  async #settle(run: Run, outcome: Exclude<Outcome, { kind: 'succeeded' }>): Promise<'again' | undefined> {
    switch (outcome.kind) {
      case 'covered':
        await this.#covered(run, outcome);
        return undefined;
      case 'discarded':
        await this.#discarded(run, outcome.holder);
        return undefined;
      case 'coalesced':
        await this.#coalesced(run, outcome);
        return undefined;
      case 'expired':
        await this.#expired(run, outcome.expires);
        return undefined;
      case 'retry':
        await this.#retry(run, outcome);
        return undefined;
      case 'dead':
        return this.#bury(run, outcome);
      case 'parked':
        await this.#park(run, outcome.delay);
        return undefined;
      case 'relieved':
        run.delivery.ack();
        return undefined;
      case 'aborted':
      case 'returned':
        await this.letGo(run);
        return this.#putBack(run);
      case 'overdue':
        // The body goes on and keeps the key: the next run waits until its lease has ended (client rule 8).
        run.lease?.stop();
        this.#parts.signals.emit('task:overdue', { ...run.event(), error: outcome.error });
        return this.#putBack(run);
    }
  }

  /** Frees the key of a body that has ended after its abort, or does not begin again. Never by release: that would call the task done. */
  async letGo({ lease }: Run): Promise<void> {
    if (lease === undefined) return;
    lease.stop();
    await this.#repeat(() => this.#parts.guard.abandon(lease.record, lease.identity));
  }

  #finish(run: Run, value: unknown): Soon<'again' | undefined> {
    return after(this.#parts.keeper.succeeded(run, value), () =>
      after(this.#release(run, false), (answer) => this.#finished(run, answer)),
    );
  }

  #finished(run: Run, answer: HoldAnswer): Soon<'again' | undefined> {
    const { clock, signals } = this.#parts;
    if (undecided(run, answer)) return this.#putBack(run);
    if (answer === 'ok') run.delivery.ack();
    if (signals.hears('task:succeeded')) {
      signals.emit('task:succeeded', { seconds: run.seconds(clock), recovered: false, ...run.event() });
    }
    return this.#over(run, answer);
  }

  /** Who waits for its result is told that there will be none. */
  async #expired(run: Run, expires: number): Promise<void> {
    await this.#parts.keeper.failed(run, EXPIRED);
    run.delivery.ack();
    this.#parts.signals.emit('task:expired', { ...run.event(), expires });
  }

  async #covered(run: Run, { own, dead, id }: Extract<Outcome, { kind: 'covered' }>): Promise<void> {
    // Its own result was kept before its key was released.
    if (!own) await this.#parts.keeper.dropped(run, id);
    run.delivery.ack();
    if (own && dead) return this.#parts.signals.emit('task:dead', { ...run.event(), code: BURIED.code, error: BURIED });
    if (own) return this.#parts.signals.emit('task:succeeded', { ...run.event(), seconds: 0, recovered: true });
    const { task, id: dropped, key } = run.event();
    const holder = { id, phase: undefined };
    this.#parts.signals.emit('task:discarded', { task, id: dropped, key, holder, side: 'worker', reason: 'done' });
  }

  async #discarded(run: Run, holder: Extract<Outcome, { kind: 'discarded' }>['holder']): Promise<void> {
    await this.#parts.keeper.dropped(run, holder.owner);
    run.delivery.ack();
    const { task, id, key } = run.event();
    const { owner, phase } = holder;
    const reason = phase === 'publishing' ? 'queued' : phase;
    this.#parts.signals.emit('task:discarded', { task, id, key, holder: { id: owner, phase }, side: 'worker', reason });
  }

  async #coalesced(run: Run, { holder, offered }: Extract<Outcome, { kind: 'coalesced' }>): Promise<void> {
    const { owner, phase, fence } = holder;
    // The holder's present run has what was not offered; what was, a later one has.
    await this.#parts.keeper.dropped(run, owner, offered ? fence : fence - 1);
    run.delivery.ack();
    const { task, id, key } = run.event();
    this.#parts.signals.emit('task:coalesced', { task, id, key, holder: { id: owner, phase }, side: 'worker' });
  }

  async #retry(run: Run, { delay, error }: Extract<Outcome, { kind: 'retry' }>): Promise<void> {
    // The broker has given the message to somebody else, whose attempt it is now.
    if (run.delivery.stale && !gone(run)) return this.letGo(run);
    const published = await this.#goOnLater(run, delay, run.head.attempt + 1, await this.#hold(run, delay));
    if (published) this.#parts.signals.emit('task:retried', { ...run.event(), delay, error });
  }

  /**
   * Newer arguments wait. A key that stays hot moves to a fresh delivery, so that others get their turn; so does one
   * whose worker stops, or whose message is gone already.
   */
  async #again(run: Run): Promise<'again' | undefined> {
    const { draining, clock } = this.#parts;
    const moves = gone(run) || draining.aborted || run.rerun >= MOST_RERUNS || run.age(clock) >= LONGEST_RERUNS;
    if (!moves) return 'again';
    await this.#goOnLater(run, 0, 1, await this.#hold(run, 0));
    return undefined;
  }

  /** The dead letter first: a crash after it repeats it, a crash before a release would lose it. */
  async #bury(run: Run, { code, error }: Extract<Outcome, { kind: 'dead' }>): Promise<'again' | undefined> {
    const { delivery, head } = run;
    const { queue } = delivery;
    const reason = {
      code,
      reason: error.message,
      stack: error.stack,
      at: this.#parts.clock.now(),
      queue,
      attempt: head.attempt,
    };
    const buried = await this.#publish(run, deadQueue(queue), deadLetter(run.frame, reason), undefined);
    if (!buried) {
      await this.letGo(run);
      return this.#putBack(run);
    }
    await this.#parts.keeper.failed(run, error);
    const answer = await this.#release(run, true);
    if (undecided(run, answer)) return this.#putBack(run);
    if (answer === 'ok') delivery.ack();
    this.#parts.signals.emit('task:dead', { ...run.event(), code, error });
    return this.#over(run, answer);
  }

  /** Everybody was told how it ended: a stand-in that finds its message gone says nothing. */
  #over(run: Run, released: HoldAnswer): Soon<'again' | undefined> {
    return released === 'marked' ? this.#again(run) : after(this.#parts.standIns.relieve(run), () => undefined);
  }

  /** Publishes the message afresh, then acks this delivery. When either is impossible, the delivery goes back. */
  async #goOnLater(run: Run, delay: number, attempt: number, held: HoldAnswer): Promise<boolean> {
    if (held === 'ok') await this.#takeNewest(run);
    const due = this.#parts.clock.now() + delay;
    const frame = republish(run.frame, { attempt, lock: run.lock });
    const published = held === 'ok' && (await this.#publish(run, run.delivery.queue, frame, due));
    if (published) await this.#followed(run, delay);
    else await this.#putBack(run);
    return published;
  }

  /** No attempt was made: what is known of the message stays true of its copy. */
  async #park(run: Run, delay: number): Promise<void> {
    const { head, lock, suspect } = run;
    const frame = republish(run.frame, { attempt: head.attempt, lock, standIn: head.standIn, suspect });
    const published = await this.#publish(run, run.delivery.queue, frame, this.#parts.clock.now() + delay);
    if (published) run.delivery.ack();
    else run.delivery.requeue();
  }

  /** The copy brings what its run shall use, so that a Redis that loses the record loses no arguments. */
  async #takeNewest(run: Run): Promise<void> {
    const { lease } = run;
    if (lease === undefined || !coalesces(run.definition)) return;
    const kept = await this.#parts.guard.newest(lease.record, lease.identity);
    if (typeof kept === 'object' && kept.seq > run.sequence) run.take(kept);
  }

  async #followed(run: Run, delay: number): Promise<void> {
    run.delivery.ack();
    await this.#parts.standIns.relieve(run);
    const { lease } = run;
    // Now there is a message again: the key may wait for it as long as for others.
    if (lease !== undefined && ackedEarly(run)) {
      await this.#repeat(() => this.#parts.guard.confirm(lease.record, lease.identity, this.#ttl(run, delay)));
    }
  }

  /** A delivery that is acknowledged already goes back as a copy. */
  async #putBack(run: Run): Promise<undefined> {
    if (run.standIn === undefined) run.delivery.requeue();
    else await this.#parts.standIns.replace(run);
  }

  /**
   * Tries until the broker has it, as long as the delivery is ours: giving it back would repeat the body, not the
   * publish. False when the delivery was lost or the worker stops.
   */
  async #publish(run: Run, queue: string, frame: Frame, due: number | undefined): Promise<boolean> {
    const { transport, publishTimeout: timeout, clock, signals, draining } = this.#parts;
    for (let tries = 0; ; tries++) {
      try {
        await transport.publish({ queue, frame, due, timeout });
        return true;
      } catch (error) {
        signals.emit('publish:failed', { ...run.event(), to: queue, error: toError(error) });
        await pause(clock, Math.min(PAUSE * 2 ** tries, LONGEST_PAUSE), draining);
        if (draining.aborted || (run.delivery.stale && !gone(run))) return this.#gaveUp(run, error);
      }
    }
  }

  /** An early ack leaves nothing to give back: without a message nobody may be told that one waits. */
  async #gaveUp(run: Run, error: unknown): Promise<false> {
    if (ackedEarly(run) && !(error instanceof PublishOutcomeUnknownError)) await this.letGo(run);
    return false;
  }

  #release(run: Run, dead: boolean): Soon<HoldAnswer> {
    const end = { seq: run.sequence, dead, keep: workerPolicy(run.definition).keepFor };
    return this.#last(run, ({ record, identity }) => this.#parts.guard.release(record, identity, end));
  }

  /** With an early ack there is no message until the retry is published; the key waits for the publish alone. */
  #hold(run: Run, delay: number): Soon<HoldAnswer> {
    const ttl = ackedEarly(run) ? this.#parts.publishTimeout + PUBLISH_WINDOW : this.#ttl(run, delay);
    return this.#last(run, ({ record, identity }) => this.#parts.guard.hold(record, identity, ttl));
  }

  #ttl(run: Run, delay: number): number {
    return delay + workerPolicy(run.definition).ttl;
  }

  /** The last use of a lease; a plain task has none, and nothing to say. */
  #last({ lease }: Run, use: (lease: Lease) => Promise<HoldAnswer>): Soon<HoldAnswer> {
    if (lease === undefined) return 'ok';
    lease.stop();
    return this.#repeat(() => use(lease));
  }

  #repeat<A>(ask: () => Promise<A | 'unknown'>): Promise<A | 'unknown'> {
    return insist(this.#parts.clock, ask);
  }
}

/** Whether the run counts is not known: its message goes back. After an early ack there is none, and what ended is over. */
const undecided = (run: Run, answer: HoldAnswer): boolean => answer !== 'ok' && answer !== 'marked' && !ackedEarly(run);
