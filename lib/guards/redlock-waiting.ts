import type { Holder } from '../guard.js';
import type { ScriptBatch } from './redlock-batch.js';
import { decide, type Vote } from './redlock-votes.js';

const holderOf = (verdict: Vote | undefined): Holder | undefined =>
  verdict !== undefined && 'outcome' in verdict && verdict.outcome === 'held' ? verdict.holder : undefined;

/** The holder that more than half of the nodes say waits for its run (protocol.md, client rules 1 and 3). */
export function waitingHolder(nodes: readonly ScriptBatch[], key: string): Promise<Holder | undefined> {
  const [only] = nodes;
  if (nodes.length === 1 && only !== undefined) return only.ask(key, 'waiting', 0, holderOf);
  return new Promise((resolve) => {
    const votes: Vote[] = [];
    const heard = (vote: Vote): void => {
      votes.push(vote);
      // As for a refusal: a node that hangs is not waited for.
      const holder = holderOf(decide(votes, nodes.length));
      if (holder !== undefined || votes.length === nodes.length) resolve(holder);
    };
    for (const node of nodes) void node.ask(key, 'waiting', 0, heard);
  });
}
