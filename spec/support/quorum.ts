import type {
  ClaimAnswer,
  Guard,
  Holder,
  HoldAnswer,
  Identity,
  KeptArguments,
  LockRecord,
  PublishingClaim,
  RunningClaim,
} from '../../lib/guard.js';
import type { Notes } from '../../lib/notes.js';
import { claimAnswer, conclude, decide, holdAnswer, mayHold, type Vote } from '../../lib/guards/redlock-votes.js';

/** What a command does; those that are alike to a network have one name. */
export const ARROWS = [
  'claimPublishing',
  'waiting',
  'confirm',
  'claimRunning',
  'newest',
  'renew',
  'hold',
  'release',
  'abandon',
  'note',
] as const;
export type Arrow = (typeof ARROWS)[number];

/** One command to one node. */
export interface NodeCommand {
  readonly arrow: Arrow;
  readonly run: (guard: Guard) => Promise<Vote>;
  /** Called once: with what the node said, or with its silence. */
  readonly hear: (vote: Vote) => void;
}

/**
 * A guard on nodes that are guards in memory: the votes are counted by the code that counts Redis's. What lies between it
 * and the nodes is the subclass's.
 */
export abstract class QuorumGuard implements Guard {
  readonly address = 'nodes:';
  /** What operators see is no part of it. */
  readonly presence = { put: async () => {}, remove: async () => {}, list: async () => [] };
  readonly scan = async () => ({ records: [], more: false });
  readonly #nodes: number;

  constructor(nodes: number) {
    this.#nodes = nodes;
  }

  protected abstract send(node: number, command: NodeCommand): void;
  abstract now(): Promise<number>;
  abstract read(key: string): Promise<LockRecord | undefined>;

  listen(): void {}
  async connect(): Promise<void> {}
  async close(): Promise<void> {}

  claimPublishing(key: string, claim: PublishingClaim): Promise<ClaimAnswer> {
    return this.#claim(key, claim, 'claimPublishing', (guard) => guard.claimPublishing(key, claim));
  }

  /** As over Redis: the same holder on more than half of the nodes. */
  async waiting(key: string): Promise<Holder | undefined> {
    const holders = (await this.#each('waiting', (guard) => guard.waiting(key))).filter(
      (holder) => holder !== undefined,
    );
    const alike = ({ owner, fence }: Holder): number =>
      holders.filter((other) => other.owner === owner && other.fence === fence).length;
    return holders.find((holder) => alike(holder) * 2 > this.#nodes);
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
    if (!this.#isQuorum(answers)) return 'unknown';
    const kept = answers.filter((answer) => typeof answer === 'object');
    return kept.sort((one, other) => other.seq - one.seq)[0] ?? 'none';
  }

  /** As over Redis: without a vote. */
  readonly notes: Notes = {
    mark: async (key, ttl) => this.#isQuorum(await this.#each('note', ({ notes }) => notes.mark(key, ttl))),
    marked: async (key) => {
      const answers = await this.#each('note', ({ notes }) => notes.marked(key));
      return answers.includes(true) || (this.#isQuorum(answers) ? false : undefined);
    },
    count: async (key, ttl) => {
      const sums = await this.#each('note', async ({ notes }) => (await notes.count(key, ttl)) ?? 0);
      return sums.length === 0 ? undefined : Math.max(...sums);
    },
    forget: async (key) => void (await this.#each('note', ({ notes }) => notes.forget(key).then(() => true))),
  };

  #isQuorum(answers: readonly unknown[]): boolean {
    return answers.length * 2 > this.#nodes;
  }

  /** The answers of the nodes that give one in time. */
  async #each<T>(arrow: Arrow, ask: (guard: Guard) => Promise<T | undefined>): Promise<T[]> {
    const asked = Array.from(
      { length: this.#nodes },
      (_, node) =>
        new Promise<T | undefined>((resolve) => {
          let found: T | undefined;
          const run = async (guard: Guard): Promise<Vote> => {
            found = await ask(guard);
            return { word: 'ok' };
          };
          const hear = (vote: Vote): void => resolve('word' in vote && vote.word === 'ok' ? found : undefined);
          this.send(node, { arrow, run, hear });
        }),
    );
    return (await Promise.all(asked)).filter((answer) => answer !== undefined);
  }

  async #claim(
    key: string,
    identity: Identity,
    arrow: Arrow,
    run: (guard: Guard) => Promise<ClaimAnswer>,
  ): Promise<ClaimAnswer> {
    const leftBehind = this.#nodes > 1 ? () => void this.abandon(key, identity) : undefined;
    return claimAnswer(await this.#ask(arrow, async (guard) => claimVote(await run(guard)), leftBehind));
  }

  async #hold(arrow: Arrow, run: (guard: Guard) => Promise<HoldAnswer>): Promise<HoldAnswer> {
    return holdAnswer(await this.#ask(arrow, async (guard) => holdVote(await run(guard))));
  }

  #ask(arrow: Arrow, run: (guard: Guard) => Promise<Vote>, leftBehind?: () => void): Promise<Vote> {
    const votes: Vote[] = [];
    return new Promise((resolve) => {
      const hear = (vote: Vote): void => {
        votes.push(vote);
        const verdict = decide(votes, this.#nodes);
        if (verdict !== undefined && !('cause' in verdict)) resolve(verdict);
        if (votes.length < this.#nodes) return;
        const last = conclude(votes, this.#nodes);
        resolve(last);
        const granted = 'word' in last && last.word === 'ok';
        if (!granted && votes.some(mayHold)) leftBehind?.();
      };
      for (let node = 0; node < this.#nodes; node++) this.send(node, { arrow, run, hear });
    });
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
