import { expect } from 'chai';
import fc from 'fast-check';
import { systemClock } from '../../lib/clock.js';
import type { ClaimAnswer, Guard, HoldAnswer, LockRecord } from '../../lib/guard.js';
import { freshKey, GUARDS, type GuardBench } from '../support/guards.js';

type Answer = ClaimAnswer | HoldAnswer | Awaited<ReturnType<Guard['newest']>>;
type Command = (guard: Guard, key: string) => Promise<Answer>;

/** A minute ago, so that no fence below is taken for the time that a node answers to a clock too slow. */
const base = (systemClock.now() - 60_000) * 1000;
const fence = fc.oneof(
  { weight: 20, arbitrary: fc.integer({ min: 0, max: 30 }).map((n) => base + n) },
  { weight: 1, arbitrary: fc.constantFrom(7, base + 800e6) },
);
const owner = fc.constantFrom('a', 'b', 'c d');
const identity = fc.record({ owner, fence });
/** Nothing waits: a time of 0 has passed for the next command. */
const time = fc.constantFrom(0, 60_000, 60_000, 300_000);
const expires = fc.constantFrom(0, 1, 5e12, 6e12);
const offer = fc.option(fc.constantFrom({ args: '[1]' }, { args: '["two"]' }), { nil: undefined });

const publishing = fc.record({ owner, fence, window: time, expires, offer });
const running = fc.record({
  owner,
  fence,
  nonce: fc.constantFrom('n1', 'n2'),
  copy: fc.constantFrom('c1', 'c2'),
  seq: fc.option(fence, { nil: undefined }),
  lease: time,
  strategy: fc.constantFrom('discard' as const, 'coalesce' as const, 'requeue' as const),
  rerun: fc.boolean(),
  expires,
  offer,
});

/** A generated command shows itself in a counterexample. */
function command<Input>(
  name: string,
  input: fc.Arbitrary<Input>,
  ask: (guard: Guard, key: string, input: Input) => ReturnType<Command>,
) {
  return input.map((given) => {
    const run: Command = (guard, key) => ask(guard, key, given);
    return Object.assign(run, { [fc.toStringMethod]: () => `${name} ${JSON.stringify(given)}` });
  });
}

/** What a holder does comes from a claim that was accepted more often than a random identity would. */
const mine = async (guard: Guard, key: string, given: { owner: string; fence: number; real: boolean }) => {
  const record = given.real ? await guard.read(key) : undefined;
  return record?.owner === undefined ? given : { owner: record.owner, fence: record.fence };
};
const actor = fc.record({ owner, fence, real: fc.boolean(), ms: time, seq: fence, dead: fc.boolean(), keep: time });

const commands = fc.array(
  fc.oneof(
    command('claimPublishing', publishing, (guard, key, claim) => guard.claimPublishing(key, claim)),
    command('claimRunning', running, (guard, key, claim) => guard.claimRunning(key, claim)),
    command('extend', actor, async (guard, key, a) => guard.extendPublishing(key, await mine(guard, key, a), a.ms)),
    command('confirm', actor, async (guard, key, a) => guard.confirm(key, await mine(guard, key, a), a.ms)),
    command('renew', actor, async (guard, key, a) => guard.renew(key, await mine(guard, key, a), a.ms)),
    command('hold', actor, async (guard, key, a) => guard.hold(key, await mine(guard, key, a), a.ms)),
    command('release', actor, async (guard, key, a) => guard.release(key, await mine(guard, key, a), a)),
    command('expire', actor, async (guard, key, a) => guard.expire(key, (await mine(guard, key, a)).owner)),
    command('newest', actor, async (guard, key, a) => guard.newest(key, await mine(guard, key, a))),
    command('abandon', identity, (guard, key, given) => guard.abandon(key, given)),
  ),
  { minLength: 1, maxLength: 30 },
);

const number = (value: number): number | string => (value > base + 1e6 ? 'by the clock' : value);
const left = (ms: number): number => Math.round(Math.max(0, ms) / 30_000);

/** An answer without what may differ by milliseconds. */
function comparable(answer: Answer): unknown {
  if (typeof answer === 'string' || !('outcome' in answer)) return answer;
  if (answer.outcome === 'fence') return { ...answer, highest: number(answer.highest) };
  if (answer.outcome === 'clock') return { ...answer, skew: left(answer.skew) };
  if (answer.outcome !== 'held') return answer;
  return { ...answer, holder: { ...answer.holder, left: left(answer.holder.left) } };
}

function comparableRecord(record: LockRecord | undefined): unknown {
  if (record === undefined) return undefined;
  const { deadline, fence, floor } = record;
  const wait = deadline === 0 ? 'free' : left(deadline - systemClock.now());
  return { ...record, deadline: wait, fence: number(fence), floor: number(floor) };
}

describe('the guard in memory and the guard on Redis', () => {
  const benches: GuardBench[] = [];
  before(async () => {
    for (const open of Object.values(GUARDS)) benches.push(await open());
  });
  after(() => Promise.all(benches.map((bench) => bench.close())));

  it('give the same answers to the same commands, and end with the same record', async () => {
    const property = fc.asyncProperty(commands, async (sequence) => {
      const key = freshKey();
      for (const run of sequence) {
        const [memory, redlock] = await Promise.all(benches.map(({ guard }) => run(guard, key)));
        expect(comparable(redlock!)).to.deep.equal(comparable(memory!));
        const [inMemory, onRedis] = await Promise.all(benches.map(({ guard }) => guard.read(key)));
        expect(comparableRecord(onRedis)).to.deep.equal(comparableRecord(inMemory));
      }
    });
    await fc.assert(property, { numRuns: Number(process.env['SOLOTASK_TEST_RUNS'] ?? 200) });
  });
});
