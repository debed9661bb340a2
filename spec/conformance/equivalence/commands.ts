import fc from 'fast-check';
import type { ClaimAnswer, Guard, HoldAnswer } from '../../../lib/guard.js';
import { FENCES, IDENTITIES, BASE, Member, Seen } from './cast.js';
import { WEATHERS, type Weather } from './nodes.js';

export type Answer = ClaimAnswer | HoldAnswer | Awaited<ReturnType<Guard['newest']>>;
/** The same question to any guard. */
export type Question = (guard: Guard, key: string) => Promise<Answer>;

/** A generated command; a counterexample shows its text. */
export type Command =
  | { readonly name: 'weather'; readonly node: number; readonly to: Weather | 'empty' }
  | {
      readonly name: string;
      /** Decides what is asked by what is known, and knows more when it is answered. */
      plan(members: readonly Member[], seen: Seen): { ask: Question; learn(answer: Answer): void };
    };

const OWNERS = ['a', 'b', 'c d'];
export const cast = (): Member[] => OWNERS.map((owner) => new Member(owner));

const weighted = <T>(...pairs: readonly (readonly [number, T])[]): fc.Arbitrary<T> =>
  fc.oneof(...pairs.map(([weight, value]) => ({ weight, arbitrary: fc.constant(value) })));

const [next, same, highest, slow, ahead] = FENCES;
const fence = weighted([12, next], [2, same], [2, highest], [1, slow], [1, ahead]);
const [own, holder, wrong] = IDENTITIES;
const identity = weighted([4, own], [6, holder], [1, wrong]);
const who = fc.nat(OWNERS.length - 1);
/** Nothing waits: a time of 0 has passed for the next command. */
const time = weighted([1, 0], [3, 60_000], [1, 300_000]);
/** Never, long ago, and some time. */
const expires = fc.constantFrom(0, 1, 5e12, 6e12);
const offer = fc.option(fc.constantFrom({ args: '[1]' }, { args: '["two"]' }), { nil: undefined });
/** Which of the known sequences, and how far from it. */
const sequence = fc.record({ index: fc.nat(20), off: weighted([5, 0], [1, 1], [1, -1]) });
type Sequence = typeof sequence extends fc.Arbitrary<infer T> ? T : never;

function near(sequences: readonly number[], { index, off }: Sequence): number | undefined {
  const found = sequences[index % Math.max(1, sequences.length)];
  return found === undefined ? undefined : found + off;
}

/** A command of one member. */
function command<Input>(
  name: string,
  input: fc.Arbitrary<Input>,
  plan: (input: Input, member: Member, seen: Seen) => { ask: Question; learn?(answer: Answer): void },
): fc.Arbitrary<Command> {
  return fc.record({ who, input }).map((given) => ({
    name,
    plan: (members, seen) => ({ learn: () => {}, ...plan(given.input, members[given.who] as Member, seen) }),
    [fc.toStringMethod]: () => `${name} ${JSON.stringify(given)}`,
  }));
}

const granted = (answer: Answer): boolean =>
  typeof answer === 'object' && 'outcome' in answer && answer.outcome === 'granted';

const publishing = fc.record({ fence, window: time, expires, offer });
const claimPublishing = command('claimPublishing', publishing, (given, member, seen) => {
  const claim = { ...given, owner: member.owner, fence: seen.fence(given.fence, member) };
  member.fence = claim.fence;
  return {
    ask: (guard, key) => guard.claimPublishing(key, claim),
    learn: (answer) => {
      if (granted(answer)) member.seq = claim.fence;
    },
  };
});

const running = fc.record({
  fence,
  nonce: weighted([2, 'same'], [1, 'fresh']),
  copy: weighted([2, 'same'], [1, 'fresh']),
  seq: fc.oneof({ weight: 3, arbitrary: fc.constantFrom('own', 'own', 'none', 'newer', 'made up') }, sequence),
  lease: time,
  strategy: fc.constantFrom('discard' as const, 'coalesce' as const, 'requeue' as const),
  rerun: weighted([3, false], [1, true]),
  expires,
  offer,
});
const claimRunning = command('claimRunning', running, ({ seq, nonce, copy, ...given }, member, seen) => {
  if (nonce === 'fresh') member.nonce += '1';
  if (copy === 'fresh') member.copy += '1';
  member.fence = seen.fence(given.fence, member);
  const sequences = { own: member.seq, newer: seen.fence('next', member), 'made up': BASE + 900e6 } as Record<
    string,
    number | undefined
  >;
  const claim = {
    ...given,
    owner: member.owner,
    fence: member.fence,
    nonce: member.nonce,
    copy: member.copy,
    seq: typeof seq === 'string' ? sequences[seq] : near(seen.sequences(member), seq),
  };
  return { ask: (guard, key) => guard.claimRunning(key, claim) };
});

/** What a holder does with its key for some time. */
const keep = (name: 'extendPublishing' | 'confirm' | 'renew' | 'hold') =>
  command(name, fc.record({ identity, ms: time }), (given, member, seen) => {
    const asked = seen.identity(given.identity, member);
    return { ask: (guard, key) => guard[name](key, asked, given.ms) };
  });

const ending = fc.record({
  identity,
  sequence,
  dead: fc.boolean(),
  keep: fc.constantFrom(0, 60_000),
});
const release = command('release', ending, (given, member, seen) => {
  const asked = seen.identity(given.identity, member);
  const end = { seq: near(seen.sequences(member), given.sequence) ?? 0, dead: given.dead, keep: given.keep };
  return { ask: (guard, key) => guard.release(key, asked, end) };
});

const abandon = command('abandon', fc.record({ identity, late: fc.option(fence) }), (given, member, seen) => {
  const late = given.late === null ? {} : { fence: seen.fence(given.late, member) };
  const asked = { ...seen.identity(given.identity, member), ...late };
  return { ask: (guard, key) => guard.abandon(key, asked) };
});
const expire = command('expire', identity, (given, member, seen) => {
  const { owner } = seen.identity(given, member);
  return { ask: (guard, key) => guard.expire(key, owner) };
});
const newest = command('newest', identity, (given, member, seen) => {
  const asked = seen.identity(given, member);
  return { ask: (guard, key) => guard.newest(key, asked) };
});

const weather = (nodes: number): fc.Arbitrary<Command> =>
  fc
    .record({
      node: fc.nat(nodes - 1),
      to: weighted([4, WEATHERS[0]], ...[...WEATHERS, 'empty' as const].map((to) => [1, to] as const)),
    })
    .map((given) => ({
      name: 'weather' as const,
      ...given,
      [fc.toStringMethod]: () => `weather ${JSON.stringify(given)}`,
    }));

/** Commands to one key, and what happens to its nodes between them. */
export const commands = (nodes: number): fc.Arbitrary<Command[]> => {
  const arrows = [
    [4, claimPublishing],
    [6, claimRunning],
    [3, keep('confirm')],
    [1, keep('extendPublishing')],
    [2, keep('renew')],
    [2, keep('hold')],
    [4, release],
    [1, abandon],
    [1, expire],
    [1, newest],
    [2, weather(nodes)],
  ] as const;
  const one = fc.oneof(...arrows.map(([weight, arbitrary]) => ({ weight, arbitrary })));
  return fc.array(one, { minLength: 1, maxLength: 40, size: 'max' });
};
