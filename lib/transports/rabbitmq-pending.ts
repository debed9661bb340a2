import {
  BrokerUnavailableError,
  type ErrorData,
  PublishOutcomeUnknownError,
  PublishRefusedError,
  UnroutableError,
} from '../errors.js';
import type { Outgoing } from '../transport.js';

/** The ends of the promise that a publish has given out. */
export interface PublishEnds {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** What keeps a link from taking messages. */
export interface Impediment {
  /** An alarm of the broker, in its words. */
  readonly alarm: string | undefined;
  /** Why there is no connection. */
  readonly lastError: Error | undefined;
}

/**
 * How long a negative confirm is answered by another try, ms. A quorum queue gives one for every reason it cannot take
 * the message just now: it was declared by somebody else a moment ago and has no leader yet (seen on 3.10.8), or it
 * elects a new one. A queue that is full gives the same one, and says no for longer.
 */
const REFUSED_FOR = 3_000;

/** A publish without an outcome yet. */
export class PendingPublish {
  readonly outgoing: Outgoing;
  /** By the monotonic clock, ms. */
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly #over: AbortSignal | undefined;
  /** Of the last time it was sent. */
  copy = '';
  /** It was sent once, and the link was lost before the confirm. */
  unknown = false;
  /** The broker gave the last copy back. */
  returned = false;
  /** When the broker refused it for the first time, by the monotonic clock. */
  #refused = Infinity;

  /** `over`: once it has aborted, the deadline has passed. */
  constructor(outgoing: Outgoing, deadline: number, ends: PublishEnds, over?: AbortSignal) {
    this.outgoing = outgoing;
    this.deadline = deadline;
    this.resolve = ends.resolve;
    this.reject = ends.reject;
    this.#over = over;
  }

  isOverdue(now: number): boolean {
    return this.deadline <= now || this.#over?.aborted === true;
  }

  /** Of its body. */
  get bytes(): number {
    return this.outgoing.frame.body.length;
  }

  /** What its errors are about. */
  get data(): ErrorData {
    return { queue: this.outgoing.queue, id: this.outgoing.frame.properties.messageId };
  }

  /** It is about to be sent, once more perhaps. */
  sending(copy: string): void {
    this.copy = copy;
    this.returned = false;
  }

  /** The broker has it; or has given that copy back before. An earlier one may be stored. */
  confirmed(): void {
    if (!this.returned) this.resolve();
    else if (this.unknown) this.#outcomeUnknown('and no queue takes a further copy');
    else this.reject(new UnroutableError(`no queue '${this.outgoing.queue}' takes the message`, this.data));
  }

  /** No confirm will come. The broker has stored nothing that is larger than `largest` bytes, or that it gave back. */
  lost(largest: number): void {
    this.unknown ||= !this.returned && this.bytes <= largest;
  }

  /** A negative confirm: that copy is not stored. An earlier one may be. True when it shall be sent again. */
  refused(now: number): boolean {
    this.#refused = Math.min(this.#refused, now);
    if (now < Math.min(this.#refused + REFUSED_FOR, this.deadline)) return true;
    this.#refuse();
    return false;
  }

  #refuse(): void {
    if (this.unknown) this.#outcomeUnknown('and a further copy was refused');
    else this.reject(new PublishRefusedError(`RabbitMQ refuses the message for '${this.outgoing.queue}'`, this.data));
  }

  /** Its time is up. `sent`: it waits for a confirm. */
  expire(sent: boolean, { alarm, lastError }: Impediment): void {
    const blocked = alarm === undefined ? '' : `, for an alarm blocks publishers (${alarm})`;
    const time = `within ${Math.round(this.outgoing.timeout)} ms${blocked}`;
    if (!sent && this.#refused < Infinity) this.#refuse();
    else if (sent || this.unknown) this.#outcomeUnknown(time, lastError, alarm);
    else this.#unavailable(`RabbitMQ did not take the message ${time}`, lastError, alarm);
  }

  #unavailable(text: string, cause: Error | undefined, alarm: string | undefined): void {
    this.reject(new BrokerUnavailableError(text, { ...this.data, ...(alarm && { alarm }) }, cause));
  }

  /** Nobody will look after it any more. */
  abandon(error: Error, sent = false): void {
    if (sent || this.unknown) this.#outcomeUnknown('before the link ended', error);
    else this.reject(error);
  }

  #outcomeUnknown(why: string, cause?: Error, alarm?: string): void {
    const text = `RabbitMQ did not confirm the message for '${this.outgoing.queue}' ${why}: it may be in the queue or not`;
    this.reject(new PublishOutcomeUnknownError(text, { ...this.data, ...(alarm && { alarm }) }, cause));
  }
}

/** Publishes that wait to be sent, first in first out. */
export class PublishBacklog {
  #items: PendingPublish[] = [];
  #head = 0;
  #bytes = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  /** Of their bodies. */
  get bytes(): number {
    return this.#bytes;
  }

  push(pending: PendingPublish): void {
    this.#items.push(pending);
    this.#bytes += pending.bytes;
  }

  shift(): PendingPublish | undefined {
    if (this.#head === this.#items.length) return undefined;
    const first = this.#items[this.#head];
    this.#head += 1;
    this.#bytes -= first?.bytes ?? 0;
    if (this.#head === this.#items.length || this.#head > 10_000) this.#compact();
    return first;
  }

  /** Back to the front: they were here first. */
  unshift(pending: readonly PendingPublish[]): void {
    if (pending.length > 0) this.#fill([...pending, ...this.drain()]);
  }

  /** Takes out those whose deadline has passed. */
  overdue(now: number): PendingPublish[] {
    const late: PendingPublish[] = [];
    const rest: PendingPublish[] = [];
    for (const pending of this.drain()) (pending.isOverdue(now) ? late : rest).push(pending);
    this.#fill(rest);
    return late;
  }

  /** Takes out all. */
  drain(): PendingPublish[] {
    this.#compact();
    const all = this.#items;
    this.#fill([]);
    return all;
  }

  #fill(items: PendingPublish[]): void {
    this.#items = items;
    this.#bytes = items.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  #compact(): void {
    this.#items = this.#items.slice(this.#head);
    this.#head = 0;
  }
}
