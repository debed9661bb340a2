import type { KeptArguments, LockRecord } from '../guard.js';
import { PHASES, unword } from './redlock-votes.js';

function kept(text: string | undefined): KeptArguments | undefined {
  if (text === undefined) return undefined;
  const space = text.indexOf(' ');
  return { seq: Number(text.slice(0, space)), args: text.slice(space + 1) };
}

const id = (text: string | undefined): string | undefined => (text === undefined ? undefined : unword(text));

/** A record from the fields of its hash (their letters: scripts/prelude.lua); undefined for a hash that is not there. */
export function readRecord(hash: Readonly<Record<string, string>>): LockRecord | undefined {
  if (hash['f'] === undefined) return undefined;
  const number = (field: string): number => Number(hash[field] ?? 0);
  return {
    owner: id(hash['o']),
    nonce: id(hash['n']),
    phase: PHASES[hash['p'] ?? ''],
    fence: number('f'),
    deadline: number('t'),
    copy: id(hash['c']),
    seq: number('s'),
    args: kept(hash['a']),
    mark: kept(hash['m']),
    stop: hash['x'] === '1',
    floor: number('l'),
    expires: number('e'),
    done:
      hash['d'] === undefined
        ? undefined
        : { fence: number('u'), seq: number('v'), id: unword(hash['d']), dead: hash['z'] === '1' },
  };
}
