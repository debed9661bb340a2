import { readArguments } from '../celery-protocol.js';
import { pause } from '../clock.js';
import type { DirectCall } from '../declarations/guarded-method.js';
import { unpack } from '../declarations/payload.js';
import { PUBLISH_WINDOW, workerPolicy } from '../declarations/uniqueness.js';
import { DuplicateTaskError, LeaseLostError, LockUnavailableError, toError } from '../errors.js';
import type { HoldAnswer, Holder, KeptArguments } from '../guard.js';
import type { RunEvent, Signals } from '../signals.js';
import { currentOrigin, Entry, runInScope } from '../task-context.js';
import type { Transport } from '../transport.js';
import { LONGEST_RERUNS, MOST_RERUNS } from './ack-policy.js';
import { DirectClaim, type DirectClaimParts, type DirectKey } from './direct-claim.js';
import { takeOver } from './direct-message.js';
import { insist } from './insist.js';
import { Lease, type Grant } from './lease.js';
import { RunContext, type RunView } from './run-context.js';

/** What plain calls work with. */
export interface DirectParts extends DirectClaimParts {
  /** For arguments that arrived during the call, when somebody else has to run with them. */
  readonly transport: Transport;
  readonly signals: Signals;
  readonly app: object;
}

/** After a message that could not be published, ms. */
const PAUSE = 1_000;

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
  readonly #parts: DirectParts;
  readonly #key: DirectKey;
  readonly #claim: DirectClaim;
  #controller = new AbortController();
  /** By `clock.monotonic()`. */
  #began = 0;
  /** What it runs with, under `coalesce`. */
  #kept: KeptArguments | undefined;
  /** Whose arguments have no larger sequence than this waits for no run. */
  #covered = 0;

  constructor(parts: DirectParts, key: DirectKey) {
    this.#parts = parts;
    this.#key = key;
    const { name: task } = key.definition;
    const rootId = currentOrigin()?.rootId;
    this.head = { id: parts.clock.uuid(), task, attempt: 1, enqueuedAt: undefined, rootId };
    this.lock = { key: key.key };
    this.#claim = new DirectClaim(parts, key, this.head.id);
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
    const claimed = await this.#claim.claim();
    if (!('sent' in claimed)) return this.#refused(claimed);
    this.#began = this.#parts.clock.monotonic();
    const { own } = this.#claim;
    const ending = await (own === undefined ? this.#once(call, claimed) : this.#all(call, claimed, own));
    if (ending.failed) throw ending.thrown;
    return ending.value;
  }

  /** A throw lets the key go, and calls nothing done. */
  async #once(call: Body, grant: Grant): Promise<Ending> {
    const ending = await this.#body(call, this.#hold(grant));
    // Of what nobody knows the lease makes an end; it held all the time.
    if (ending.failed || (await this.#release(grant, ending)) === 'marked') await this.#claim.abandon(grant.identity);
    return ending;
  }

  /**
   * Under `coalesce`: runs until no newer arguments wait, or a message has been published that runs with them. How the
   * first run ended is how the call ends: the others are somebody else's.
   */
  async #all(call: Body, granted: Grant, own: KeptArguments): Promise<Ending> {
    // Of its own arguments the caller hears, whatever becomes of them.
    this.#covered = own.seq;
    this.#kept = own;
    let first: Ending | undefined;
    for (let next: Grant | undefined = granted; next !== undefined;) {
      const grant: Grant = next;
      const lease = this.#hold(grant);
      try {
        await this.#demandNewest(lease);
        const ending = await this.#body(call, lease);
        this.signal.throwIfAborted();
        first ??= ending;
        next = await this.#next(ending, grant);
      } catch (error) {
        // Redis is away or the key is lost: whoever was told meanwhile that the call has its arguments counts on them.
        lease.stop();
        if (!(await this.#handOver(grant))) await this.#claim.abandon(grant.identity);
        if (this.rerun === 0) throw error;
        next = undefined;
      }
    }
    return first as Ending;
  }

  #hold(grant: Grant): Lease {
    const controller = new AbortController();
    this.#controller = controller;
    return (this.lease = new Lease(this.#parts, grant, (error) => {
      this.#parts.signals.emit('lock:lost', { ...this.event(), error });
      controller.abort(error);
    }));
  }

  /** Never rejects. What an aborted body returned counts for nothing. */
  async #body({ prototype, body }: Body, lease: Lease): Promise<Ending> {
    const { definition } = this.#key;
    const entry = new Entry(definition.service, definition.method, prototype);
    const context = new RunContext(this, this.#parts.signals);
    try {
      const newest = this.#taken();
      const value: unknown = await runInScope({ context, app: this.#parts.app, entry }, body, newest);
      this.signal.throwIfAborted();
      return { failed: false, value };
    } catch (thrown) {
      return { failed: true, thrown };
    } finally {
      entry.close();
      lease.stop();
    }
  }

  /** Arguments that came from the key; undefined: the call's own. */
  #taken(): readonly unknown[] | undefined {
    if (this.#kept === undefined || this.#kept === this.#claim.own) return undefined;
    const { args, kwargs } = readArguments(this.#kept.args);
    return unpack(this.#key.definition, args, kwargs);
  }

  /** After a grant, and before the body: what is kept with the key may be newer. */
  async #demandNewest(lease: Lease): Promise<void> {
    if (!(await this.#takeNewest(lease))) {
      const { record } = lease;
      throw new LockUnavailableError('Redis did not say which arguments are the newest', { record });
    }
    lease.check();
    this.signal.throwIfAborted();
  }

  /** False: nobody knows. */
  async #takeNewest({ record, identity }: Pick<Grant, 'record' | 'identity'>): Promise<boolean> {
    const { clock, guard } = this.#parts;
    const newest = await insist(clock, () => guard.newest(record, identity));
    if (typeof newest === 'object' && newest.seq > (this.#kept?.seq ?? 0)) this.#kept = newest;
    return newest !== 'unknown';
  }

  /** The claim of the next run; undefined when none is to come, or it is somebody else's. */
  async #next(ending: Ending, grant: Grant): Promise<Grant | undefined> {
    const { clock, closing, signals } = this.#parts;
    // Of the first run the caller hears; the arguments of a later one are others', and a worker gives them all attempts.
    const failed = this.rerun > 0 && ending.failed;
    if (failed) {
      const error = toError(ending.thrown);
      signals.emit('task:failed', { ...this.event(), error, seconds: this.#age() / 1_000 });
    }
    const answer = failed ? 'marked' : await this.#release(grant, ending);
    if (answer === 'ok') return undefined;
    if (!ending.failed) this.#covered = this.#kept?.seq ?? 0;
    const moves = this.rerun >= MOST_RERUNS || this.#age() >= LONGEST_RERUNS || closing.aborted;
    if (failed || moves || answer === 'unknown') {
      if (await this.#handOver(grant)) return undefined;
      // Nobody is left to run with them, and nothing brings them to anybody: they stay with the key.
      if (failed && closing.aborted) throw toError(ending.thrown);
      await pause(clock, PAUSE, closing);
    }
    this.rerun++;
    const claimed = await this.#claim.claim(this.#kept);
    return 'sent' in claimed ? claimed : undefined;
  }

  #age(): number {
    return this.#parts.clock.monotonic() - this.#began;
  }

  /** A run that ends well covers what was enqueued before it began. Refused while newer arguments wait for one more. */
  async #release({ record, identity }: Grant, { failed }: Ending): Promise<Exclude<HoldAnswer, 'lost'>> {
    const { clock, guard } = this.#parts;
    const { keepFor } = workerPolicy(this.#key.definition);
    // A failure covers nobody, and leaves arguments to whoever comes.
    const end = { seq: failed ? 0 : (this.#kept?.seq ?? 0), dead: failed, keep: keepFor };
    const answer = await insist(clock, () => guard.release(record, identity, end));
    if (answer !== 'lost') return answer;
    throw new LeaseLostError('the lock was lost while the body ran', { record, fence: identity.fence });
  }

  /**
   * What is left becomes a message under this call's id, for a worker; the key waits for it, unless somebody else has it
   * by now. False: it cannot be published.
   */
  async #handOver(grant: Grant): Promise<boolean> {
    const { guard, transport, clock, signals, publishTimeout } = this.#parts;
    const { definition, key } = this.#key;
    const { record, identity } = grant;
    const held = await insist(clock, () => guard.hold(record, identity, publishTimeout + PUBLISH_WINDOW));
    const known = await this.#takeNewest(grant);
    const kept = this.#kept as KeptArguments;
    if (known && kept.seq <= this.#covered) {
      await this.#claim.abandon(identity);
      return true;
    }
    const { queue, name: task } = definition;
    try {
      const frame = takeOver(definition, { ...this.head, key, kept, now: clock.now() });
      await transport.publish({ queue, frame, timeout: publishTimeout });
    } catch (thrown) {
      signals.emit('publish:failed', { ...this.event(), to: queue, error: toError(thrown) });
      return false;
    }
    if (held !== 'lost') await insist(clock, () => guard.confirm(record, identity, workerPolicy(definition).ttl));
    signals.emit('task:enqueued', { task, id: this.head.id, key, queue, delay: 0, unguarded: false });
    return true;
  }

  #refused(holder: Holder): undefined {
    const { owner, phase } = holder;
    const { task, id, key } = this.event();
    const { signals } = this.#parts;
    if (this.#claim.offers && phase !== 'kept') {
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
}
