import { expect } from 'chai';
import fc from 'fast-check';
import { freshKey } from '../../support/guards.js';
import { Seen } from './cast.js';
import { cast, commands, type Command } from './commands.js';
import { changesOf, comparable, comparableRecord, kindOf } from './compare.js';
import { MemoryNodes, type Nodes } from './nodes.js';

/** A command that hung in a connection did something when it arrived. */
export const LATE = 'a late command changes a record';

/** Both guards, asked the same; and which answers and changes that has shown. */
export class Equivalence {
  readonly seen = new Set<string>();
  readonly #redis: Nodes;

  constructor(redis: Nodes) {
    this.#redis = redis;
  }

  /** Plays random commands; rejects with the shortest that tell the guards apart, their seed and their path. */
  async prove({ seed, runs }: { seed: number; runs: number }): Promise<void> {
    const property = fc.asyncProperty(commands(this.#redis.ways.length), (sequence) => this.#play(sequence));
    await fc.assert(property, { seed, numRuns: runs });
  }

  async #play(sequence: readonly Command[]): Promise<void> {
    const key = freshKey();
    const both = [new MemoryNodes(this.#redis.ways.length), this.#redis] as const;
    for (const way of this.#redis.ways) way.cut();
    const members = cast();
    let records = await recordsOf(both[0], key);
    for (const command of sequence) {
      if ('to' in command) await Promise.all(both.map((nodes) => change(nodes, key, command)));
      else {
        const question = command.plan(members, new Seen(records));
        const [memory, redis] = await Promise.all(both.map(({ guard }) => question.ask(guard, key)));
        await Promise.all(both.map((nodes) => nodes.quiet()));
        expect(comparable(redis!), command.name).to.deep.equal(comparable(memory!));
        question.learn(memory!);
        this.seen.add(`${command.name}: ${kindOf(memory!)}`);
      }
      const [inMemory, onRedis] = await Promise.all(both.map((nodes) => recordsOf(nodes, key)));
      expect(onRedis!.map(comparableRecord), command.name).to.deep.equal(inMemory!.map(comparableRecord));
      const changes = inMemory!.flatMap((record, node) => changesOf(records[node], record));
      for (const what of changes) this.seen.add(`${command.name} ${what}`);
      if ('to' in command && command.to !== 'empty' && changes.length > 0) this.seen.add(LATE);
      records = inMemory!;
    }
  }
}

const recordsOf = (nodes: Nodes, key: string) => Promise.all(nodes.ways.map((_, node) => nodes.record(node, key)));

async function change(nodes: Nodes, key: string, { node, to }: Extract<Command, { to: unknown }>): Promise<void> {
  const way = nodes.ways[node]!;
  if (to !== 'empty') return way.change(to);
  way.cut();
  await nodes.empty(node, key);
}
