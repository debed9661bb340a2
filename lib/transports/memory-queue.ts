import type { Frame } from '../message.js';
import type { Delivery, DeliveryHandler, QueueDeclaration, Settled } from '../transport.js';

/** A message as it lies in a queue: bytes, so that nobody shares an object with anybody. */
export interface StoredMessage {
  readonly head: string;
  readonly body: Buffer;
  /** Place in the queue; a message that comes back takes its old one. */
  readonly place: number;
  /** From 0; heeded by a queue that has priorities. */
  readonly priority: number;
  readonly redelivered: boolean;
}

/** A frame as bytes. */
export const store = ({ properties, headers, body }: Frame, place: number): StoredMessage => ({
  head: JSON.stringify({ properties, headers }),
  body: Buffer.from(body),
  place,
  priority: properties.priority ?? 0,
  redelivered: false,
});

/** With the property that tells a broker when it may drop it. */
export const expiring = (frame: Frame, expires: number | undefined, now: number): Frame =>
  expires === undefined
    ? frame
    : { ...frame, properties: { ...frame.properties, expiration: String(Math.max(0, expires - now)) } };

const load = ({ head, body }: StoredMessage): Frame => ({
  ...(JSON.parse(head) as Omit<Frame, 'body'>),
  body: Buffer.from(body),
});

/** One consumer of one queue. */
export interface MemoryConsumer {
  readonly prefetch: number;
  readonly handler: DeliveryHandler;
  readonly open: Set<MemoryDelivery>;
}

/** Messages in their order; of one priority. */
class MemoryLine {
  #fresh: StoredMessage[] = [];
  #head = 0;
  #returned: StoredMessage[] = [];

  get length(): number {
    return this.#returned.length + this.#fresh.length - this.#head;
  }

  push(message: StoredMessage): void {
    this.#fresh.push(message);
  }

  putBack(message: StoredMessage): void {
    const after = this.#returned.findLastIndex(({ place }) => place < message.place);
    this.#returned.splice(after + 1, 0, message);
  }

  clear(): void {
    this.#fresh = [];
    this.#head = 0;
    this.#returned = [];
  }

  /** The first one; there is one. */
  shift(): StoredMessage {
    const message = this.#returned.shift() ?? (this.#fresh[this.#head++] as StoredMessage);
    if (this.#head > 1_000) {
      this.#fresh = this.#fresh.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }
}

/** A queue: messages in their order, those of a higher priority first, and consumers that take turns. */
export class MemoryQueue {
  readonly declaration: QueueDeclaration;
  readonly #consumers: MemoryConsumer[] = [];
  readonly #changed: (queue: MemoryQueue) => void;
  /** By priority, the highest first. */
  readonly #lines: readonly MemoryLine[];
  #turn = 0;

  /** `changed` is called when there may be something to deliver. */
  constructor(declaration: QueueDeclaration, changed: (queue: MemoryQueue) => void) {
    this.declaration = declaration;
    this.#changed = changed;
    this.#lines = Array.from({ length: 1 + (declaration.maxPriority ?? 0) }, () => new MemoryLine());
  }

  get ready(): number {
    return this.#lines.reduce((sum, { length }) => sum + length, 0);
  }

  get consumers(): number {
    return this.#consumers.length;
  }

  put(message: StoredMessage): void {
    this.#lineOf(message).push(message);
    this.#changed(this);
  }

  /** Back to their old places, flagged. */
  putBack(messages: readonly StoredMessage[]): void {
    if (messages.length === 0) return;
    for (const message of messages) this.#lineOf(message).putBack({ ...message, redelivered: true });
    this.#changed(this);
  }

  /** Forgets what is ready. */
  clear(): void {
    for (const line of this.#lines) line.clear();
  }

  attach(consumer: MemoryConsumer): void {
    this.#consumers.push(consumer);
    this.#changed(this);
  }

  detach(consumer: MemoryConsumer): void {
    const index = this.#consumers.indexOf(consumer);
    if (index >= 0) this.#consumers.splice(index, 1);
  }

  /** Settles on behalf of a delivery. */
  settle(delivery: MemoryDelivery, message: StoredMessage, accept: boolean): void {
    delivery.consumer.open.delete(delivery);
    if (accept) this.#changed(this);
    else this.putBack([message]);
  }

  /** Takes everything away from a consumer that it has not settled. */
  reclaim(consumer: MemoryConsumer): void {
    const messages = [...consumer.open].map((delivery) => delivery.revoke());
    consumer.open.clear();
    this.putBack(messages);
  }

  /** Hands one message to somebody who asks for it; undefined when there is none. */
  take(consumer: MemoryConsumer): MemoryDelivery | undefined {
    const message = this.#lines.find(({ length }) => length > 0)?.shift();
    if (message === undefined) return undefined;
    const delivery = new MemoryDelivery(this, consumer, message);
    consumer.open.add(delivery);
    return delivery;
  }

  /** Delivers one message; false when there is none, or nobody has room for it. */
  deliverOne(): boolean {
    const consumer = this.ready === 0 ? undefined : this.#next();
    const delivery = consumer && this.take(consumer);
    if (consumer === undefined || delivery === undefined) return false;
    try {
      consumer.handler.deliver(delivery);
    } catch {
      // As with a real broker: what a handler does must not end its channel.
      delivery.requeue();
    }
    return true;
  }

  #next(): MemoryConsumer | undefined {
    for (let tried = 0; tried < this.#consumers.length; tried += 1) {
      this.#turn = (this.#turn + 1) % this.#consumers.length;
      const consumer = this.#consumers[this.#turn];
      if (consumer !== undefined && consumer.open.size < consumer.prefetch) return consumer;
    }
    return undefined;
  }

  /** What is above the highest priority counts as it. */
  #lineOf({ priority }: StoredMessage): MemoryLine {
    return this.#lines[Math.max(0, this.#lines.length - 1 - priority)] as MemoryLine;
  }
}

/** A delivery over memory. */
export class MemoryDelivery implements Delivery {
  readonly queue: string;
  readonly frame: Frame;
  readonly redelivered: boolean;
  readonly consumer: MemoryConsumer;
  readonly #queue: MemoryQueue;
  readonly #message: StoredMessage;
  #stale = false;

  constructor(queue: MemoryQueue, consumer: MemoryConsumer, message: StoredMessage) {
    this.queue = queue.declaration.name;
    this.frame = load(message);
    this.redelivered = message.redelivered;
    this.consumer = consumer;
    this.#queue = queue;
    this.#message = message;
  }

  get stale(): boolean {
    return this.#stale;
  }

  ack(): Settled {
    return this.#settle(true);
  }

  requeue(): Settled {
    return this.#settle(false);
  }

  flushed(): Promise<void> {
    return Promise.resolve();
  }

  /** Its channel is gone. */
  revoke(): StoredMessage {
    this.#stale = true;
    return this.#message;
  }

  #settle(accept: boolean): Settled {
    if (this.#stale) return 'stale';
    this.#stale = true;
    this.#queue.settle(this, this.#message, accept);
    return 'settled';
  }
}
