import { encode } from '../celery-protocol.js';
import type { Clock } from '../clock.js';
import {
  BrokerUnavailableError,
  ClosedError,
  DuplicateUndecidedError,
  LockUnavailableError,
  PublishOutcomeUnknownError,
  UnroutableError,
} from '../errors.js';
import type { FenceSource } from '../fence.js';
import type { Guard, Identity } from '../guard.js';
import type { MessageLock } from '../message.js';
import { pack } from '../declarations/payload.js';
import type { DiscardReason, Signals } from '../signals.js';
import type { TaskDefinition } from '../task-definition.js';
import type { Transport } from '../transport.js';
import { PUBLISH_WINDOW, recordName } from '../declarations/uniqueness.js';
import { Flight, type Landed } from './flights.js';
import { offerOf } from './offer.js';
import { Receipt } from './receipt.js';
import { Reservation } from './reservation.js';

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
}

/** Settings of one enqueue. */
export interface EnqueueSettings {
  /** Before the task may run, ms. @default 0 */
  readonly delay?: number;
}

/** A checked call, on its way to becoming a message. */
export interface Call {
  readonly definition: TaskDefinition;
  readonly args: readonly unknown[];
  readonly id: string;
  readonly key: string | undefined;
  readonly delay: number;
  /** JSON text of the arguments, to be handed to a holder; undefined without `coalesce`. */
  readonly offer: string | undefined;
}

/** A call that is being enqueued. */
interface Job extends Call {
  /** Of two calls the later one has the larger number. */
  readonly order: number;
  /** By `clock.monotonic()`. */
  readonly deadline: number;
}

/** How often a confirm is tried: when Redis stays silent, the publish window ends by itself and newcomers are accepted. */
const CONFIRM_TRIES = 3;

/** A publish with less time than this would end in an unknown outcome, ms. */
const LEAST_TIME = 50;

/** What fails for every enqueue of the key alike, and certainly published nothing. */
function isOutage(error: unknown): error is Error {
  return [LockUnavailableError, BrokerUnavailableError, UnroutableError, ClosedError].some(
    (kind) => error instanceof kind,
  );
}

/** The producer: turns a call into a published message, or finds that it is a duplicate. */
export class Client {
  readonly #parts: ClientParts;
  readonly #reservation: Reservation;
  readonly #flights = new Map<string, Flight>();
  readonly #open = new Set<Promise<unknown>>();
  #orders = 0;
  #closed = false;

  constructor(parts: ClientParts) {
    this.#parts = parts;
    this.#reservation = new Reservation(parts);
  }

  /** `submit` of `prepare`. */
  async enqueue(definition: TaskDefinition, args: readonly unknown[], settings?: EnqueueSettings): Promise<Receipt> {
    return this.submit(this.prepare(definition, args, settings));
  }

  /**
   * Checks a call, computes its key and gives it an id; asks nobody and publishes nothing.
   * @throws KeyError, PayloadError, ClosedError
   */
  prepare(definition: TaskDefinition, args: readonly unknown[], settings: EnqueueSettings = {}): Call {
    this.#refuseClosed(definition);
    // The key first: of `null` where an id belongs, that it makes no key says more than that it is no payload.
    const key = definition.key?.(args);
    const packed = pack(definition, args);
    const offer = offerOf(definition, packed);
    return { definition, args: packed, id: this.#parts.clock.uuid(), key, delay: settings.delay ?? 0, offer };
  }

  /** Resolves once the broker has the message, or a holder that covers the call is known. `publishTimeout` begins now. */
  async submit(call: Call): Promise<Receipt> {
    this.#refuseClosed(call.definition);
    const { clock, publishTimeout } = this.#parts;
    // Written out: a literal that begins with a spread takes several times as long.
    const { definition, args, id, key, delay, offer } = call;
    const order = this.#orders++;
    const job: Job = { definition, args, id, key, delay, offer, order, deadline: clock.monotonic() + publishTimeout };
    return this.#track(
      definition.unique === undefined || key === undefined ? this.#plain(job) : this.#unique(job, key),
    );
  }

  /** Refuses new work, then waits for what is on its way: publishes and confirms. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#open.size > 0) await Promise.allSettled(this.#open);
  }

  #refuseClosed({ name }: TaskDefinition): void {
    if (this.#closed) throw new ClosedError('the app is closed: nothing can be enqueued', { task: name });
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#open.add(work);
    const forget = (): void => void this.#open.delete(work);
    work.then(forget, forget);
    return work;
  }

  async #plain(job: Job): Promise<Receipt> {
    // A worker that coalesces must know whose arguments are newer; no claim says so here, but the clock does.
    const fence = job.offer === undefined ? undefined : this.#parts.fences.next();
    const lock: MessageLock | undefined = job.key === undefined ? undefined : { key: job.key, mode: 'worker', fence };
    await this.#publish(job, lock);
    return this.#enqueued(job);
  }

  async #unique(job: Job, key: string): Promise<Receipt> {
    const record = recordName(this.#parts.namespace, job.definition.name, key);
    for (;;) {
      const flight = this.#flights.get(record);
      if (flight === undefined) return this.#lead(job, key, record);
      const landed = await flight.join(job);
      if (landed !== undefined) return this.#dropped(job, landed);
      if (this.#parts.clock.monotonic() >= job.deadline) {
        throw new DuplicateUndecidedError(
          'another enqueue of this key failed until publishTimeout; nothing was published',
          {
            record,
          },
        );
      }
    }
  }

  async #lead(job: Job, key: string, record: string): Promise<Receipt> {
    const flight = new Flight(job);
    this.#flights.set(record, flight);
    try {
      await flight.gather();
      const { args, offer } = flight.newest;
      const reserved = await this.#reservation.reserve({ record, owner: job.id, deadline: job.deadline, offer });
      if ('holder' in reserved) {
        const holder = { id: reserved.holder.owner, phase: reserved.holder.phase };
        const landed = { holder, enqueued: false, coalesced: reserved.offered };
        flight.land(landed);
        return this.#dropped(job, landed);
      }
      flight.depart();
      await this.#publishReserved({ ...job, args }, key, record, reserved.identity);
      flight.land({ holder: { id: job.id, phase: 'queued' }, enqueued: true, coalesced: offer !== undefined });
      return this.#enqueued(job);
    } catch (error) {
      if (isOutage(error)) flight.land({ outage: error });
      throw error;
    } finally {
      this.#flights.delete(record);
      flight.land(undefined);
    }
  }

  /** The key is let go when there is certainly no message; on an unknown outcome it stays until its window ends. */
  async #publishReserved(job: Job, key: string, record: string, identity: Identity): Promise<void> {
    if (job.deadline - this.#parts.clock.monotonic() < LEAST_TIME) {
      await this.#parts.guard.abandon(record, identity);
      throw new DuplicateUndecidedError('the lock took all of publishTimeout; nothing was published', { record });
    }
    const window = this.#keepWindowOpen(record, identity);
    try {
      await this.#publish(job, { key, mode: 'enqueue', fence: identity.fence });
    } catch (error) {
      if (!(error instanceof PublishOutcomeUnknownError)) await this.#parts.guard.abandon(record, identity);
      throw error;
    } finally {
      window.close();
    }
    void this.#track(this.#confirm(record, identity, job.delay + (job.definition.unique?.ttl ?? 0)));
  }

  /** While a message is being published again and again, its key must not fall to a newcomer. */
  #keepWindowOpen(record: string, identity: Identity): { close(): void } {
    const { clock, guard } = this.#parts;
    let timer = clock.after(PUBLISH_WINDOW / 3, extend);
    function extend(): void {
      timer = clock.after(PUBLISH_WINDOW / 3, extend);
      void guard.extendPublishing(record, identity, PUBLISH_WINDOW);
    }
    return { close: () => timer.cancel() };
  }

  async #confirm(record: string, identity: Identity, ttl: number): Promise<void> {
    for (let tries = 1; tries <= CONFIRM_TRIES; tries++) {
      if ((await this.#parts.guard.confirm(record, identity, ttl)) !== 'unknown') return;
    }
  }

  #publish(job: Job, lock: MessageLock | undefined): Promise<void> {
    const { clock, transport, origin } = this.#parts;
    const { definition, id, args, delay } = job;
    const enqueuedAt = clock.now();
    // Written out: a literal that begins with a spread made this whole call take three times as long.
    const message = {
      rootId: undefined,
      parentId: undefined,
      headers: {},
      id,
      task: definition.name,
      args,
      kwargs: {},
      attempt: 1,
      lock,
      enqueuedAt,
      priority: definition.priority,
    };
    return transport.publish({
      queue: definition.queue,
      frame: encode(message, origin),
      due: delay > 0 ? enqueuedAt + delay : undefined,
      timeout: job.deadline - clock.monotonic(),
    });
  }

  #enqueued({ definition, id, key, delay }: Job): Receipt {
    this.#parts.signals.emit('task:enqueued', { task: definition.name, id, key, queue: definition.queue, delay });
    return new Receipt({ status: 'enqueued', id, key });
  }

  #dropped({ definition, id, key }: Job, { holder, coalesced }: Landed): Receipt {
    if (coalesced) {
      this.#parts.signals.emit('task:coalesced', { task: definition.name, id, key, holder, side: 'enqueue' });
      return new Receipt({ status: 'coalesced', id: holder.id, key, holder });
    }
    const reason: DiscardReason = holder.phase === 'publishing' ? 'queued' : holder.phase;
    this.#parts.signals.emit('task:discarded', { task: definition.name, id, key, holder, side: 'enqueue', reason });
    return new Receipt({ status: 'discarded', id: holder.id, key, holder });
  }
}
