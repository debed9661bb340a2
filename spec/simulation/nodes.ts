import type { Guard, LockRecord } from 'solotask';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import type { Vote } from '../../lib/guards/redlock-votes.js';
import { QuorumGuard, type NodeCommand } from '../support/quorum.js';
import type { Process, World } from './world.js';

/** ms; what ioredis is given as `commandTimeout`. */
const COMMAND_TIMEOUT = 250;
/** Short, so that a history can pass it. */
export const MEMORY = 600_000;

/** One Redis: it forgets, it hangs, and while it hangs commands wait in its connections. */
export class Node {
  readonly process: Process;
  /** Answers nothing before, ms of the world. */
  pausedUntil = 0;
  /** Refuses connections before, ms of the world. */
  downUntil = 0;
  /** How often it was started again. */
  lives = 0;
  #waiting = 0;
  #store = new MemoryLocks();
  #guard: Guard;

  constructor(world: World, name: string, skew: number) {
    this.process = world.process(name, skew);
    this.#guard = this.#open();
  }

  get guard(): Guard {
    return this.#guard;
  }

  /** ms; what waits for the end of a pause keeps its order. */
  place(): number {
    this.#waiting += 0.001;
    return this.#waiting;
  }

  /** Ends, and starts again without its memory; what was on its way in a connection is gone with it. */
  restart(at: number): void {
    this.lives++;
    this.downUntil = at;
    this.pausedUntil = 0;
    this.#store = new MemoryLocks();
    this.#guard = this.#open();
  }

  #open(): Guard {
    return createMemoryGuard({ clock: this.process.clock, store: this.#store, memory: MEMORY });
  }
}

/** Longest times that a command hangs in an old connection, ms: it comes after its own timeout, or long after. */
const LATEST = [1_000, 8_000];

/** What the network between a process and a node does to one command. */
export interface NodeFaults {
  /** Probability that a command or its answer gets lost. */
  loss: number;
  /** Probability that a command hangs in an old connection and is executed seconds later. */
  late: number;
  /** ms; the longest way of a command or an answer. */
  latency: number;
}

/** A process's guard on the nodes, over a network that loses commands and delays them. */
export class NodeGuard extends QuorumGuard {
  readonly #world: World;
  readonly #process: Process;
  readonly #nodes: readonly Node[];
  readonly #faults: NodeFaults;
  /** When the last command arrives at a node: those of one connection keep their order. */
  readonly #arrivals = new Map<Node, number>();

  constructor(world: World, process: Process, nodes: readonly Node[], faults: NodeFaults) {
    super(nodes.length);
    this.#world = world;
    this.#process = process;
    this.#nodes = nodes;
    this.#faults = faults;
  }

  async now(): Promise<number> {
    return this.#process.clock.now();
  }

  read(key: string): Promise<LockRecord | undefined> {
    return (this.#nodes[0] as Node).guard.read(key);
  }

  protected send(place: number, { arrow, run, hear }: NodeCommand): void {
    const node = this.#nodes[place] as Node;
    const owner = this.#process;
    let heard = false;
    const once = (vote: Vote): void => {
      if (!heard) hear(vote);
      heard = true;
    };
    const way = (): number => this.#world.random.between(0.1, this.#faults.latency);
    const lost = (): boolean => this.#world.random.chance(this.#faults.loss);
    const timeout = this.#world.after(COMMAND_TIMEOUT, () => once({ word: 'silent', cause: new Error('timeout') }), {
      owner,
    });
    if (lost()) return;
    const { lives } = node;
    const execute = async (): Promise<void> => {
      if (lives !== node.lives) return;
      const wait = node.pausedUntil - this.#world.time;
      if (wait > 0) return void this.#world.after(wait + node.place(), () => void execute());
      const down = node.downUntil > this.#world.time;
      const vote: Vote = down ? { word: 'closed', cause: new Error('refused') } : await run(node.guard);
      owner.onMoment?.(arrow);
      if (lost()) return;
      const answer = (): void => {
        timeout.cancel();
        once(vote);
      };
      this.#world.after(way(), answer, { owner });
    };
    // On its way it belongs to nobody: the process may die, the command arrives.
    if (this.#world.random.chance(this.#faults.late)) {
      return void this.#world.after(
        this.#world.random.between(0, this.#world.random.pick(LATEST)),
        () => void execute(),
      );
    }
    const arrival = Math.max(this.#world.time + way(), this.#arrivals.get(node) ?? 0);
    this.#arrivals.set(node, arrival + 0.001);
    this.#world.after(arrival - this.#world.time, () => void execute());
  }
}
