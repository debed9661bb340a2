import type {
  ClaimAnswer,
  Guard,
  HoldAnswer,
  Identity,
  KeptArguments,
  LockRecord,
  Notes,
  PublishingClaim,
  RunningClaim,
} from 'solotask';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { claimAnswer, conclude, decide, holdAnswer, mayHold, type Vote } from '../../lib/guards/redlock-votes.js';
import type { Moment } from './plan.js';
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

/** Longest time that a command hangs in an old connection, ms. */
const LATEST = 8_000;

/** One command to one node. */
interface Command {
  readonly moment: Moment;
  readonly run: (guard: Guard) => Promise<Vote>;
  readonly hear: (vote: Vote) => void;
}

/** What the network between a process and a node does to one command. */
export interface NodeFaults {
  /** Probability that a command or its answer gets lost. */
  loss: number;
  /** Probability that a command hangs in an old connection and is executed seconds later. */
  late: number;
  /** ms; the longest way of a command or an answer. */
  latency: number;
}

/** A process's guard on the nodes: the votes are counted by the code that counts Redis's. */
export class NodeGuard implements Guard {
  readonly address = 'nodes:';
  /** What operators see is no part of the histories. */
  readonly presence = { put: async () => {}, remove: async () => {}, list: async () => [] };
  readonly scan = async () => ({ records: [], more: false });
  readonly now = async () => this.#process.clock.now();
  readonly #world: World;
  readonly #process: Process;
  readonly #nodes: readonly Node[];
  readonly #faults: NodeFaults;
  /** When the last command arrives at a node: those of one connection keep their order. */
  readonly #arrivals = new Map<Node, number>();

  constructor(world: World, process: Process, nodes: readonly Node[], faults: NodeFaults) {
    this.#world = world;
    this.#process = process;
    this.#nodes = nodes;
    this.#faults = faults;
  }

  listen(): void {}
  async connect(): Promise<void> {}
  async close(): Promise<void> {}

  claimPublishing(key: string, claim: PublishingClaim): Promise<ClaimAnswer> {
    return this.#claim(key, claim, 'claimPublishing', (guard) => guard.claimPublishing(key, claim));
  }

  claimRunning(key: string, claim: RunningClaim): Promise<ClaimAnswer> {
    return this.#claim(key, claim, 'claimRunning', (guard) => guard.claimRunning(key, claim));
  }

  extendPublishing(key: string, identity: Identity, window: number): Promise<HoldAnswer> {
    return this.#hold('confirm', (guard) => guard.extendPublishing(key, identity, window));
  }

  confirm(key: string, identity: Identity, ttl: number): Promise<HoldAnswer> {
    return this.#hold('confirm', (guard) => guard.confirm(key, identity, ttl));
  }

  renew(key: string, identity: Identity, lease: number): Promise<HoldAnswer> {
    return this.#hold('renew', (guard) => guard.renew(key, identity, lease));
  }

  hold(key: string, identity: Identity, ttl: number): Promise<HoldAnswer> {
    return this.#hold('hold', (guard) => guard.hold(key, identity, ttl));
  }

  release(key: string, identity: Identity, end: Parameters<Guard['release']>[2]): Promise<HoldAnswer> {
    return this.#hold('release', (guard) => guard.release(key, identity, end));
  }

  async abandon(key: string, identity: Identity): Promise<'ok' | 'unknown'> {
    return (await this.#hold('abandon', (guard) => guard.abandon(key, identity))) === 'ok' ? 'ok' : 'unknown';
  }

  expire(key: string, owner: string): Promise<HoldAnswer> {
    return this.#hold('claimRunning', (guard) => guard.expire(key, owner));
  }

  /** From every node that answers in time. */
  async newest(key: string, identity: Identity): Promise<KeptArguments | 'none' | 'unknown'> {
    const answers = await this.#each('newest', (guard) => guard.newest(key, identity));
    if (!this.#quorum(answers)) return 'unknown';
    const kept = answers.filter((answer) => typeof answer === 'object');
    return kept.sort((one, other) => other.seq - one.seq)[0] ?? 'none';
  }

  /** As over Redis: without a vote. */
  readonly notes: Notes = {
    mark: async (key, ttl) => this.#quorum(await this.#each('note', ({ notes }) => notes.mark(key, ttl))),
    marked: async (key) => {
      const answers = await this.#each('note', ({ notes }) => notes.marked(key));
      return answers.includes(true) || (this.#quorum(answers) ? false : undefined);
    },
    count: async (key, ttl) => {
      const sums = await this.#each('note', async ({ notes }) => (await notes.count(key, ttl)) ?? 0);
      return sums.length === 0 ? undefined : Math.max(...sums);
    },
    forget: async (key) => void (await this.#each('note', ({ notes }) => notes.forget(key).then(() => true))),
  };

  #quorum(answers: readonly unknown[]): boolean {
    return answers.length * 2 > this.#nodes.length;
  }

  /** The answers of the nodes that give one in time. */
  async #each<T>(moment: Moment, ask: (guard: Guard) => Promise<T | undefined>): Promise<T[]> {
    const asked = this.#nodes.map(
      (node) =>
        new Promise<T | undefined>((resolve) => {
          let found: T | undefined;
          const run = async (guard: Guard): Promise<Vote> => {
            found = await ask(guard);
            return { word: 'ok' };
          };
          const hear = (vote: Vote): void => resolve('word' in vote && vote.word === 'ok' ? found : undefined);
          this.#send(node, { moment, run, hear });
        }),
    );
    return (await Promise.all(asked)).filter((answer) => answer !== undefined);
  }

  read(key: string): Promise<LockRecord | undefined> {
    return (this.#nodes[0] as Node).guard.read(key);
  }

  async #claim(
    key: string,
    identity: Identity,
    moment: Moment,
    run: (guard: Guard) => Promise<ClaimAnswer>,
  ): Promise<ClaimAnswer> {
    const leftBehind = this.#nodes.length > 1 ? () => void this.abandon(key, identity) : undefined;
    return claimAnswer(await this.#ask(moment, async (guard) => claimVote(await run(guard)), leftBehind));
  }

  async #hold(moment: Moment, run: (guard: Guard) => Promise<HoldAnswer>): Promise<HoldAnswer> {
    return holdAnswer(await this.#ask(moment, async (guard) => holdVote(await run(guard))));
  }

  #ask(moment: Moment, run: (guard: Guard) => Promise<Vote>, leftBehind?: () => void): Promise<Vote> {
    const count = this.#nodes.length;
    const votes: Vote[] = [];
    return new Promise((resolve) => {
      const hear = (vote: Vote): void => {
        votes.push(vote);
        const verdict = decide(votes, count);
        if (verdict !== undefined && !('cause' in verdict)) resolve(verdict);
        if (votes.length < count) return;
        const last = conclude(votes, count);
        resolve(last);
        const granted = 'word' in last && last.word === 'ok';
        if (!granted && votes.some(mayHold)) leftBehind?.();
      };
      for (const node of this.#nodes) this.#send(node, { moment, run, hear });
    });
  }

  #send(node: Node, { moment, run, hear }: Command): void {
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
      owner.onMoment?.(moment);
      if (lost()) return;
      const answer = (): void => {
        timeout.cancel();
        once(vote);
      };
      this.#world.after(way(), answer, { owner });
    };
    // On its way it belongs to nobody: the process may die, the command arrives.
    if (this.#world.random.chance(this.#faults.late)) {
      return void this.#world.after(this.#world.random.between(0, LATEST), () => void execute());
    }
    const arrival = Math.max(this.#world.time + way(), this.#arrivals.get(node) ?? 0);
    this.#arrivals.set(node, arrival + 0.001);
    this.#world.after(arrival - this.#world.time, () => void execute());
  }
}

const claimVote = (answer: ClaimAnswer): Vote => {
  switch (answer.outcome) {
    case 'granted':
      return { word: 'ok' };
    case 'unknown':
    case 'unavailable':
      return { word: 'silent', cause: answer.cause };
    default:
      return answer;
  }
};

const holdVote = (answer: HoldAnswer): Vote =>
  answer === 'unknown' ? { word: 'silent', cause: new Error('unknown') } : { word: answer };
