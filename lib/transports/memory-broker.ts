import type { Clock, Timer } from '../clock.js';
import { deadLetter } from '../celery-protocol.js';
import { ConfigError, QueueMismatchError } from '../errors.js';
import type { Frame } from '../message.js';
import { deadQueue, type QueueDeclaration } from '../transport.js';
import { type Deferred, deferred } from './promises.js';
import { expiring, MemoryQueue, store } from './memory-queue.js';

/** A transport, as its broker sees it. */
export interface MemoryLink {
  /** The connection is gone; `up` says whether it is back at once. */
  dropped(up: boolean): void;
  restored(): void;
  /** What it relays had expired, and is gone. */
  expired(frame: Frame, queue: string, expires: number): void;
}

/** Held back until it is due. */
interface Delayed {
  readonly queue: string;
  readonly frame: Frame;
  readonly due: number;
  readonly expires: number | undefined;
}

/** Deliveries by microtasks; then timers and sockets of the process get their turn. */
const BURST = 64;
/** ms; when a message that is due is refused, it is offered again. */
const REFUSED_AGAIN = 1_000;
/** Where a message goes whose queue is not there when it is due. */
const LOST = deadQueue('due');
const DEAD = deadQueue('');

/**
 * A broker inside the process, shared by any number of memory transports. It does what RabbitMQ does for solotask, and
 * can be made to fail: `dropConnections`, `stop` and `start`, `refuse` and `accept`.
 */
export class MemoryBroker {
  readonly #clock: Clock;
  readonly #queues = new Map<string, MemoryQueue>();
  readonly #links = new Set<MemoryLink>();
  readonly #refusing = new Set<string>();
  readonly #dirty = new Set<MemoryQueue>();
  /** Ascending by `due`. */
  readonly #delayed: Delayed[] = [];
  readonly #relays: MemoryLink[] = [];
  #alarm: Timer | undefined;
  #up: Deferred<void> | undefined;
  #place = 0;
  #scheduled = false;
  #left = BURST;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.declare({ name: LOST });
  }

  /** Cuts every connection; the transports are back at once. Unsettled deliveries return, flagged. */
  dropConnections(): void {
    for (const link of this.#links) link.dropped(true);
  }

  /** Goes down: connections are cut, publishes wait. What is in the queues stays. */
  stop(): void {
    this.#up ??= deferred();
    for (const link of this.#links) link.dropped(false);
  }

  /** Comes back. */
  start(): void {
    const up = this.#up;
    this.#up = undefined;
    this.#schedule();
    for (const link of this.#links) link.restored();
    up?.resolve();
  }

  /** Answers publishes to this queue with a negative confirm. */
  refuse(queue: string): void {
    this.#refusing.add(queue);
  }

  accept(queue: string): void {
    this.#refusing.delete(queue);
  }

  /** Undefined while it is up, else a promise of that. */
  get down(): Promise<void> | undefined {
    return this.#up?.promise;
  }

  attach(link: MemoryLink): void {
    this.#links.add(link);
  }

  detach(link: MemoryLink): void {
    this.#links.delete(link);
  }

  queue(name: string): MemoryQueue | undefined {
    return this.#queues.get(name);
  }

  /** Declares a queue and its dead letters, as `Transport.declare` does. */
  declare(declaration: QueueDeclaration): void {
    const { name, type = 'quorum', passive = false } = declaration;
    const found = this.#queues.get(name)?.declaration;
    if (passive && found === undefined) {
      throw new ConfigError(`there is no queue '${name}', and it is not ours to declare`, { queue: name });
    }
    if (passive) {
      if (declaration.deadLetters === true) this.#create({ name: deadQueue(name), type: 'classic' });
      return;
    }
    this.#matching(name, 'type', type, found === undefined ? type : (found.type ?? 'quorum'));
    this.#matching(name, 'maxPriority', declaration.maxPriority, (found ?? declaration).maxPriority);
    this.#create(declaration);
    this.#create({ name: deadQueue(name), type });
  }

  /** Deletes a queue with what is in it: publishes to it come back from now on. */
  remove(name: string): void {
    this.#queues.delete(name);
  }

  /** The queues that are not for dead letters. */
  get workQueues(): readonly string[] {
    return [...this.#queues.keys()].filter((name) => !name.endsWith(DEAD));
  }

  /** Messages that wait in a queue. */
  ready(name: string): number {
    return this.#queues.get(name)?.ready ?? 0;
  }

  /** How many messages are held back until they are due, and epoch ms of the first. */
  get delayed(): { readonly count: number; readonly next: number | undefined } {
    return { count: this.#delayed.length, next: this.#delayed[0]?.due };
  }

  /** Forgets every message that nobody is working on; the queues stay. */
  clear(): void {
    for (const queue of this.#queues.values()) queue.clear();
    this.#delayed.length = 0;
    this.#wake();
  }

  /** A publish that is not delayed, and what becomes of it. */
  put(name: string, frame: Frame): 'stored' | 'unroutable' | 'refused' {
    if (this.#refusing.has(name)) return 'refused';
    const queue = this.#queues.get(name);
    if (queue === undefined) return 'unroutable';
    this.#place += 1;
    queue.put(store(frame, this.#place));
    return 'stored';
  }

  /** Keeps a message until it is due and somebody relays. */
  hold(queue: string, frame: Frame, due: number, expires: number | undefined): void {
    const after = this.#delayed.findLastIndex((other) => other.due <= due);
    this.#delayed.splice(after + 1, 0, { queue, frame, due, expires });
    this.#wake();
  }

  /** It relays once more (`1`) or once less (`-1`). Without anybody who does, nothing that is due moves. */
  relaying(link: MemoryLink, change: 1 | -1): void {
    if (change === 1) this.#relays.push(link);
    else this.#relays.splice(this.#relays.indexOf(link), 1);
    this.#wake();
  }

  #create(declaration: QueueDeclaration): void {
    if (this.#queues.has(declaration.name)) return;
    this.#queues.set(declaration.name, new MemoryQueue(declaration, (queue) => this.#touch(queue)));
  }

  #matching(queue: string, argument: string, wanted: unknown, found: unknown): void {
    if (wanted === found) return;
    const text = `the queue '${queue}' exists with other arguments: ${argument} is ${String(found)}`;
    throw new QueueMismatchError(`${text}, and should be ${String(wanted)}`, { queue, argument, wanted, found });
  }

  #touch(queue: MemoryQueue): void {
    this.#dirty.add(queue);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#deliver());
  }

  #deliver(): void {
    for (const queue of this.#up === undefined ? this.#dirty : []) {
      while (this.#left > 0 && queue.deliverOne()) this.#left -= 1;
      if (this.#left > 0) this.#dirty.delete(queue);
    }
    this.#scheduled = this.#left === 0;
    if (this.#scheduled) this.#clock.after(0, () => this.#resume());
  }

  #resume(): void {
    this.#left = BURST;
    this.#deliver();
  }

  #wake(): void {
    this.#alarm?.cancel();
    this.#alarm = undefined;
    const first = this.#delayed[0];
    if (first === undefined || this.#relays.length === 0) return;
    this.#alarm = this.#clock.after(Math.max(0, first.due - this.#clock.now()), () => this.#release());
  }

  #release(): void {
    const now = this.#clock.now();
    while (this.#delayed[0] !== undefined && this.#delayed[0].due <= now) {
      const { queue, frame, expires } = this.#delayed.shift() as Delayed;
      if (expires !== undefined && expires <= now) {
        this.#relays[0]?.expired(frame, queue, expires);
        continue;
      }
      const outcome = this.put(queue, expiring(frame, expires, now));
      if (outcome === 'refused') this.hold(queue, frame, now + REFUSED_AGAIN, expires);
      if (outcome !== 'unroutable') continue;
      const letter = { code: 'UNROUTABLE', reason: `no queue '${queue}' takes the message`, at: now, queue };
      this.put(LOST, deadLetter(frame, letter));
    }
    this.#wake();
  }
}
