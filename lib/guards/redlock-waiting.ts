import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import type { Holder } from '../guard.js';
import type { RedlockNodes } from './redlock-nodes.js';
import { unword } from './redlock-votes.js';

const SCRIPT = readFileSync(new URL('scripts/waiting.lua', import.meta.url), 'utf8');
const HASH = createHash('sha1').update(SCRIPT).digest('hex');

/** What one node says; undefined: nobody waits there, or it does not answer. */
async function ask(client: Redis, key: string): Promise<string | undefined> {
  try {
    return ((await client.evalsha(HASH, 1, key)) ?? undefined) as string | undefined;
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) return undefined;
    const answer = client.eval(SCRIPT, 1, key).catch(() => undefined);
    return ((await answer) ?? undefined) as string | undefined;
  }
}

function holderOf(text: string): Holder {
  const [owner = '', fence, left] = text.split(' ');
  return { owner: unword(owner), phase: 'queued', fence: Number(fence), left: Number(left), seq: 0 };
}

/** The same holder by the same claim; of the time that is left nodes may differ. */
const same = (one: Holder, other: Holder): boolean => one.owner === other.owner && one.fence === other.fence;

/** The holder that more than half of the nodes say waits for its run (protocol.md, client rules 1 and 3). */
export async function waitingHolder({ clients }: RedlockNodes, key: string): Promise<Holder | undefined> {
  const [only] = clients;
  if (clients.length === 1 && only !== undefined) {
    const text = await ask(only, key);
    return text === undefined ? undefined : holderOf(text);
  }
  return new Promise((resolve) => {
    const holders: Holder[] = [];
    const heard = (text: string | undefined): void => {
      if (text === undefined) return;
      const holder = holderOf(text);
      holders.push(holder);
      // As for a refusal: a node that hangs is not waited for.
      if (holders.filter((other) => same(holder, other)).length * 2 > clients.length) resolve(holder);
    };
    void Promise.all(clients.map((client) => ask(client, key).then(heard))).then(() => resolve(undefined));
  });
}
