// An app imports it when it connects: what is loaded by then takes no real time, in which the world would come to rest.
import '@opentelemetry/api';
import type { Clock, Timer } from 'solotask';
import type { Moment } from './plan.js';
import type { Random } from './random.js';

/** Where the wall clocks begin, epoch ms. */
const EPOCH = 1_800_000_000_000;

interface Happening {
  at: number;
  /** Decides among those of one moment. */
  readonly tie: number;
  readonly owner: Process | undefined;
  readonly idle: boolean;
  readonly fire: () => void;
  cancelled: boolean;
}

/** A process: it dies, its event loop is blocked, its wall clock is wrong or jumps. */
export class Process {
  readonly name: string;
  readonly clock: Clock;
  alive = true;
  /** Nothing of it happens before, ms of the world. */
  blockedUntil = 0;
  /** Of its wall clock, ms. */
  skew: number;
  /** Called with what it does, as it is done. */
  onMoment: ((moment: Moment) => void) | undefined;

  constructor(world: World, name: string, skew: number) {
    this.name = name;
    this.skew = skew;
    this.clock = {
      now: () => Math.floor(EPOCH + world.time + this.skew),
      monotonic: () => world.time + 1_000,
      after: (ms, fire, options) => world.after(ms, fire, { owner: this, idle: options?.idle === true }),
      random: () => world.random.next(),
      uuid: () => world.random.uuid(),
    };
  }
}

/** Virtual time: a queue of happenings, whose order a seed decides. Nothing real is waited for. */
export class World {
  readonly random: Random;
  /** ms */
  time = 0;
  /** Happenings so far. */
  steps = 0;
  /** Called before each happening with the number of those before it. */
  onStep: ((step: number) => void) | undefined;
  readonly #heap: Happening[] = [];
  #busy = 0;

  constructor(random: Random) {
    this.random = random;
  }

  process(name: string, skew = 0): Process {
    return new Process(this, name, skew);
  }

  /** Not before `ms` from now. What belongs to a process happens only while that lives and is not blocked. */
  after(ms: number, fire: () => void, { owner, idle = false }: { owner?: Process; idle?: boolean } = {}): Timer {
    return this.#push({
      at: this.time + Math.max(0, ms),
      tie: this.random.next(),
      owner,
      idle,
      fire,
      cancelled: false,
    });
  }

  /** Runs until nothing is left to happen, or until `limit` (ms of the world). True when nothing is left. */
  async run(limit: number): Promise<boolean> {
    while (this.#busy > 0) {
      const next = this.#pop();
      if (next === undefined) break;
      if (next.cancelled || dead(next)) continue;
      if (next.at > limit) {
        this.#push(next);
        this.time = limit;
        return false;
      }
      this.time = Math.max(this.time, next.at);
      if (next.owner !== undefined && next.owner.blockedUntil > this.time) {
        next.at = next.owner.blockedUntil;
        this.#push(next);
        continue;
      }
      this.onStep?.(this.steps);
      this.steps++;
      if (!dead(next)) next.fire();
      await settled();
    }
    return true;
  }

  #push(happening: Happening): Timer {
    const heap = this.#heap;
    if (!happening.idle) this.#busy++;
    let place = heap.push(happening) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!before(happening, heap[parent] as Happening)) break;
      heap[place] = heap[parent] as Happening;
      place = parent;
    }
    heap[place] = happening;
    return { cancel: () => void (happening.cancelled = true) };
  }

  #pop(): Happening | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return undefined;
    if (!first.idle) this.#busy--;
    if (heap.length === 0) return first;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Happening, heap[child] as Happening)) child++;
      if (!before(heap[child] as Happening, last)) break;
      heap[place] = heap[child] as Happening;
      place = child;
    }
    heap[place] = last;
    return first;
  }
}

const dead = ({ owner }: Happening): boolean => owner?.alive === false;

const before = (one: Happening, other: Happening): boolean =>
  one.at < other.at || (one.at === other.at && one.tie < other.tie);

/** Every promise that can go on has gone on: the queue of ticks has its turn when that of promises is empty. */
const settled = (): Promise<void> => Promise.resolve().then(() => new Promise((resolve) => process.nextTick(resolve)));
