import type { Identity, KeptArguments, LockRecord } from '../guard.js';
import { PHASES, unword, word } from './redlock-votes.js';

function kept(text: string | undefined): KeptArguments | undefined {
  if (text === undefined) return undefined;
  const space = text.indexOf(' ');
  return { seq: Number(text.slice(0, space)), args: text.slice(space + 1) };
}

/** The fields of a record that `newestOf` reads. */
export const ARGUMENT_FIELDS = ['o', 'f', 'a', 'm'] as const;

/** The newest arguments in those fields of many nodes. A mark where the run of `identity` was granted comes after it. */
export function newestOf(
  nodes: readonly (readonly (string | null)[])[],
  { owner, fence }: Identity,
): KeptArguments | undefined {
  const found = nodes.flatMap(([o, f, a, m]) => (o === word(owner) && Number(f) === fence ? [a] : [a, m]));
  return found
    .flatMap((text) => kept(text ?? undefined) ?? [])
    .reduce<KeptArguments | undefined>((best, one) => (one.seq > (best?.seq ?? 0) ? one : best), undefined);
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
