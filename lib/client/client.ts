import { encode } from '../celery-protocol.js';
import type { Clock } from '../clock.js';
import {
  BrokerUnavailableError,
  ClosedError,
  DuplicateTaskError,
  DuplicateUndecidedError,
  LockUnavailableError,
  PublishOutcomeUnknownError,
  UnroutableError,
} from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { Guard, Identity } from '../guard.js';
import type { MessageLock } from '../message.js';
import type { DiscardReason, Signals } from '../signals.js';
import type { UniquePolicy } from '../task-definition.js';
import type { Tracing } from '../tracing.js';
import type { QueueDeclaration, Transport } from '../transport.js';
import { recordName } from '../declarations/uniqueness.js';
import type { Call } from './call.js';
import { Flight, type Landed } from './flights.js';
import { Queues } from './queues.js';
import { Receipt, type ResultReader } from './receipt.js';
import { PublishWindows } from './publish-windows.js';
import { Reservation, type Reserved } from './reservation.js';

/** What a client works with. */
export interface ClientParts {
  readonly transport: Transport;
  readonly guard: Guard;
  readonly fences: FenceSource;
  readonly clock: Clock;
  readonly signals: Signals;
  readonly namespace: string;
  /** Bounds one enqueue, ms. */
  readonly publishTimeout: number;
  /** `pid@host`, for the `origin` header. */
  readonly origin: string;
  /** For the receipts; undefined: the app keeps no results. */
  readonly reader: ResultReader | undefined;
  /** Queues that are declared, or looked up; by name. */
  readonly declared: ReadonlyMap<string, QueueDeclaration>;
  /** Undefined without OpenTelemetry. */
  readonly tracing?: Tracing | undefined;
  /** For tests that run tasks inline: called with each receipt before its caller gets it. */
  readonly run?: ((receipt: Receipt) => Promise<Receipt>) | undefined;
}

/** A call that is being enqueued. */
interface Job {
  readonly call: Call;
  /** Of two calls the later one has the larger number. */
  readonly order: number;
  /** By `clock.monotonic()`. */
  readonly deadline: number;
}

/** A call of a task whose producer decides on duplicates. */
interface UniqueJob extends Job {
  readonly key: string;
  readonly unique: UniquePolicy;
  /** The name of the key's record. */
  readonly record: string;
}

const CLOSED = 'the app is closed: nothing can be enqueued';

/** How often a confirm is tried: when Redis stays silent, the publish window ends by itself and newcomers are accepted. */
const CONFIRM_TRIES = 3;

/** A publish with less time than this would end in an unknown outcome, ms. */
const LEAST_TIME = 50;

/** The broker holds no message for less than a second; what is shorter our workers wait out, but nobody else's, ms. */
const LEAST_FOREIGN_DELAY = 1_500;

/** For a consumer that does not know `due`: late by a moment, never early. */
const notBefore = (due: number | undefined, now: number): number | undefined =>
  due === undefined || due <= now ? undefined : Math.max(due, now + LEAST_FOREIGN_DELAY);

/** What fails for every enqueue of the key alike, and certainly published nothing. */
function isOutage(error: unknown): error is Error {
  return [LockUnavailableError, BrokerUnavailableError, UnroutableError, ClosedError].some(
    (kind) => error instanceof kind,
  );
}

/** The producer: turns a call into a published message, or finds that it is a duplicate. */
export class Client {
  readonly #parts: ClientParts;
  readonly #queues: Queues;
  readonly #reservation: Reservation;
  readonly #windows: PublishWindows;
  readonly #flights = new Map<string, Flight>();
  /** Publishes and confirms on their way. */
  #open = 0;
  #idle: () => void = () => {};
  #orders = 0;
  #closed = false;
  #closing: Promise<void> | undefined;
  readonly #ended = (): void => {
    this.#open -= 1;
    if (this.#open === 0) this.#idle();
  };

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#queues = new Queues(parts);
    this.#reservation = new Reservation(parts);
    this.#windows = new PublishWindows(parts);
  }

  /** Resolves once the broker has the message, or a holder that covers the call is known. `publishTimeout` begins now. */
  submit(call: Call): Promise<Receipt> {
    const { clock, publishTimeout, run, tracing } = this.#parts;
    if (this.#closed) return Promise.reject(new ClosedError(CLOSED, { task: call.task }));
    const job = { call, order: this.#orders++, deadline: clock.monotonic() + publishTimeout };
    const work = tracing === undefined ? this.#submit(job) : this.#traced(job, tracing);
    if (run === undefined) return work;
    const told = work.then(run);
    this.#begun();
    told.then(this.#ended, this.#ended);
    return told;
  }

  /** Refuses new work, then waits for what is on its way: publishes and confirms. */
  close(): Promise<void> {
    this.#closed = true;
    return (this.#closing ??= this.#rest());
  }

  async #rest(): Promise<void> {
    while (this.#open > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** Something is on its way, until `#ended`. Counted, for a set of promises would cost each of them another one. */
  #begun(): void {
    this.#open += 1;
  }

  /** A caller who brings a context of his own keeps it. */
  async #traced(job: Job, tracing: Tracing): Promise<Receipt> {
    const span = tracing.send(job.call);
    if (span === undefined) return this.#submit(job);
    const { headers: own } = job.call;
    const headers = 'traceparent' in own ? own : { ...span.headers, ...own };
    try {
      const receipt = await span.run(() => this.#submit({ ...job, call: { ...job.call, headers } }));
      span.end({ 'solotask.receipt.status': receipt.status, 'solotask.holder.id': receipt.holder?.id });
      return receipt;
    } catch (error) {
      span.end({}, error);
      throw error;
    }
  }

  async #submit(job: Job): Promise<Receipt> {
    const { task, queue, key, unique, byName } = job.call;
    this.#begun();
    try {
      // Before the lock: a queue that cannot be had must not leave a key taken.
      const ready = this.#queues.ready(queue, byName, job.deadline - this.#parts.clock.monotonic());
      if (ready !== undefined) await ready;
      if (unique !== undefined && key !== undefined) {
        const { call, order, deadline } = job;
        const record = recordName(this.#parts.namespace, task, key);
        return await this.#unique({ call, order, deadline, key, unique, record });
      }
      await this.#publish(
        job,
        key === undefined ? undefined : { key, mode: 'worker', fence: this.#unclaimed(job.call) },
      );
      return this.#enqueued(job.call, false);
    } catch (error) {
      if (error instanceof UnroutableError) this.#queues.forget(queue);
      throw error;
    } finally {
      this.#ended();
    }
  }

  /** A worker that coalesces must know whose arguments are newer; without a claim the clock says so. */
  #unclaimed({ offer }: Call): number | undefined {
    return offer === undefined ? undefined : this.#parts.fences.next();
  }

  #unique(job: UniqueJob): Promise<Receipt> {
    const flight = this.#flights.get(job.record);
    return flight === undefined ? this.#lead(job) : this.#follow(job, flight);
  }

  async #follow(job: UniqueJob, flight: Flight): Promise<Receipt> {
    const landed = await flight.join(job);
    if (landed !== undefined) return this.#dropped(job, landed);
    const { record, deadline } = job;
    if (this.#parts.clock.monotonic() < deadline) return this.#unique(job);
    const text = 'another enqueue of this key failed until publishTimeout; nothing was published';
    throw new DuplicateUndecidedError(text, { record });
  }

  async #lead(job: UniqueJob): Promise<Receipt> {
    const { record, call } = job;
    const flight = new Flight(job);
    this.#flights.set(record, flight);
    try {
      await flight.gather();
      const { args, offer } = flight.newest;
      const reserved = await this.#reserve(job, offer);
      if (reserved !== undefined && 'holder' in reserved) {
        const { owner: id, phase, fence: after } = reserved.holder;
        const taken = { coalesced: reserved.offered, ...(reserved.offered ? { after } : {}) };
        const landed = { holder: { id, phase }, enqueued: false, ...taken };
        flight.land(landed);
        return this.#dropped(job, landed);
      }
      flight.depart();
      await this.#publishReserved(args === call.args ? job : { ...job, call: { ...call, args } }, reserved?.identity);
      flight.land({ holder: { id: call.id, phase: 'queued' }, enqueued: true, coalesced: offer !== undefined });
      return this.#enqueued(call, reserved === undefined, reserved?.identity.fence);
    } catch (error) {
      if (isOutage(error)) flight.land({ outage: error });
      throw error;
    } finally {
      this.#flights.delete(record);
      flight.land(undefined);
    }
  }

  /** Undefined: nobody can say, and the task is to be published all the same. */
  #reserve({ record, call, deadline, unique }: UniqueJob, offer: string | undefined): Promise<Reserved | undefined> {
    const hasty = unique.onLockError === 'publish';
    const wish = { record, owner: call.id, expires: call.expires, deadline, hasty, offer };
    const reserving = this.#reservation.reserve(wish);
    if (!hasty) return reserving;
    return reserving.catch((error: unknown) => {
      if (error instanceof LockUnavailableError) return undefined;
      throw error;
    });
  }

  /**
   * The key is let go when there is certainly no message; on an unknown outcome it stays until its window ends. Without
   * an identity the message carries its key alone: the worker's claim still lets one run at a time.
   */
  async #publishReserved(job: UniqueJob, identity: Identity | undefined): Promise<void> {
    const { key, record, unique, call } = job;
    if (identity === undefined) return this.#publish(job, { key, mode: 'worker', fence: this.#unclaimed(call) });
    if (job.deadline - this.#parts.clock.monotonic() < LEAST_TIME) {
      await this.#parts.guard.abandon(record, identity);
      throw new DuplicateUndecidedError('the lock took all of publishTimeout; nothing was published', { record });
    }
    const closeWindow = this.#windows.keepOpen(record, identity);
    try {
      await this.#publish(job, { key, mode: 'enqueue', fence: identity.fence });
    } catch (error) {
      if (!(error instanceof PublishOutcomeUnknownError)) await this.#parts.guard.abandon(record, identity);
      throw error;
    } finally {
      closeWindow();
    }
    this.#begun();
    this.#confirm(record, identity, this.#ttl(call, unique), 1);
  }

  #confirm(record: string, identity: Identity, ttl: number, round: number): void {
    const answer = this.#parts.guard.confirm(record, identity, ttl);
    answer.then((word) => {
      if (word === 'unknown' && round < CONFIRM_TRIES) this.#confirm(record, identity, ttl, round + 1);
      else this.#ended();
    }, this.#ended);
  }

  /** Throws, too, what cannot be encoded. */
  #publish({ call, deadline }: Job, lock: MessageLock | undefined): Promise<void> {
    const { clock, transport, origin } = this.#parts;
    const { id, task, queue, args, kwargs, priority, timeLimit, headers, expires, due, rootId, parentId } = call;
    const enqueuedAt = clock.now();
    const foreign = !this.#queues.owns(queue);
    // Written out: a literal that begins with a spread made this whole call take three times as long.
    const message = {
      rootId,
      parentId,
      headers,
      id,
      task,
      args,
      kwargs,
      attempt: 1,
      lock,
      enqueuedAt,
      priority,
      timeLimit,
      // A Celery older than 5.5 stumbles over the header; the broker's own expiry needs no consumer's help.
      expires: foreign ? undefined : expires,
    };
    const timeout = deadline - clock.monotonic();
    const frame = encode(message, origin);
    if (!foreign) return transport.publish({ queue, frame, timeout, due });
    return transport.publish({ queue, frame, timeout, due: notBefore(due, enqueuedAt), expires });
  }

  /** How long a message may wait, ms. What the broker drops by itself frees no key: it must not outlast the message. */
  #ttl(call: Call, { ttl }: UniquePolicy): number {
    const wait = this.#delay(call) + ttl;
    if (call.expires === undefined || this.#queues.owns(call.queue)) return wait;
    return Math.min(wait, Math.max(1, call.expires - this.#parts.clock.now()));
  }

  /** ms from now. */
  #delay({ due }: Call): number {
    return due === undefined ? 0 : Math.max(0, due - this.#parts.clock.now());
  }

  /** `after`: every run of this message has a larger fence; a result of an earlier task of the same id has not. */
  #enqueued(call: Call, unguarded: boolean, after?: number): Receipt {
    const { task, id, key, queue } = call;
    this.#parts.signals.emit('task:enqueued', { task, id, key, queue, delay: this.#delay(call), unguarded });
    return new Receipt({ status: 'enqueued', id, key, reader: this.#parts.reader, after });
  }

  /** A call under the holder's own id is that very task once more, and no duplicate to be complained of. */
  #dropped({ call, key, unique }: UniqueJob, { holder, coalesced, after }: Landed): Receipt {
    const { task, id } = call;
    const { reader, signals } = this.#parts;
    if (unique.onDuplicate === 'reject' && holder.id !== id) {
      const text = `${task}: a duplicate: ${holder.id} has the key '${key}' and is ${holder.phase}; nothing was published`;
      throw new DuplicateTaskError(text, { task, key, holder: holder.id, phase: holder.phase });
    }
    if (coalesced) {
      signals.emit('task:coalesced', { task, id, key, holder, side: 'enqueue' });
      return new Receipt({ status: 'coalesced', id: holder.id, key, holder, reader, after });
    }
    const reason: DiscardReason = holder.phase === 'publishing' ? 'queued' : holder.phase;
    signals.emit('task:discarded', { task, id, key, holder, side: 'enqueue', reason });
    return new Receipt({ status: 'discarded', id: holder.id, key, holder, reader });
  }
}
