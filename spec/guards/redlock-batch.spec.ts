import { expect } from 'chai';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { RedlockGuard } from '../../lib/guards/redlock.js';
import { eventually } from '../support/eventually.js';
import { expectHeld, fences, freshKey, GRANTED, publishing, running } from '../support/guards.js';
import { startRedis, type Server } from '../support/servers.js';

/** The most steps in one script. */
const LARGEST = 64;

const freshKeys = (count: number): string[] => Array.from({ length: count }, freshKey);

/** How often a node was asked for a command since its last `CONFIG RESETSTAT`, refused ones included. */
async function calls(raw: Redis, command: string): Promise<number> {
  const line = new RegExp(`^cmdstat_${command}:.*`, 'm').exec(await raw.info('commandstats'))?.[0] ?? '';
  const counts = line.matchAll(/[:,](?:rejected_)?calls=(\d+)/g);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

describe('the guard on one Redis node, asked for many things in one turn of the event loop,', () => {
  const closing: (() => Promise<unknown>)[] = [];
  let server: Server;
  let raw: Redis;
  let guard: RedlockGuard;

  async function start(args: string[] = []): Promise<void> {
    const started = await startRedis({ args });
    const client = new Redis(started.url);
    closing.push(
      () => client.quit(),
      () => started.stop(),
    );
    [server, raw, guard] = [started, client, await open(started.url)];
  }
  async function open(...nodes: (string | Redis)[]): Promise<RedlockGuard> {
    const opened = new RedlockGuard({ nodes, clock: systemClock });
    closing.unshift(() => opened.close());
    await opened.connect(5000);
    return opened;
  }
  const claim = (key: string, owner = 'a') => guard.claimPublishing(key, publishing(owner));
  const claimAll = (keys: readonly string[]) => Promise.all(keys.map((key) => claim(key)));
  const outcomes = async (keys: readonly string[]) => (await claimAll(keys)).map(({ outcome }) => outcome);
  const times = (outcome: string, count: number): string[] => Array<string>(count).fill(outcome);

  beforeEach(() => start());
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  describe('sends', () => {
    beforeEach(async () => {
      await claim(freshKey());
      await raw.config('RESETSTAT');
    });

    it('them as one command, and more than 64 as several', async () => {
      for (const [count, commands] of [
        [1, 1],
        [LARGEST, 1],
        [LARGEST + 1, 2],
        [3 * LARGEST + 8, 4],
      ] as const) {
        expect(await outcomes(freshKeys(count))).to.deep.equal(times('granted', count));
        expect(await calls(raw, 'evalsha'), `${count} claims`).to.equal(commands);
        await raw.config('RESETSTAT');
      }
    });

    it('every kind of them along, and what the promises of the turn go on to ask', async () => {
      const keys = freshKeys(8);
      const identity = publishing('a');
      const late = async (turns: number, key: string) => {
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        return claim(key);
      };
      const ask = () => [
        guard.claimPublishing(keys[0]!, identity),
        guard.extendPublishing(keys[0]!, identity, 5000),
        guard.confirm(keys[0]!, identity, 60_000),
        guard.expire(keys[0]!, 'a'),
        guard.abandon(keys[1]!, identity),
        guard.claimRunning(keys[2]!, running('c')),
        guard.release(keys[3]!, identity, { seq: 0, dead: false }),
        guard.renew(keys[4]!, identity, 1000),
        guard.hold(keys[4]!, identity, 1000),
        guard.waiting(keys[5]!),
        late(1, keys[6]!),
        late(20, keys[7]!),
      ];
      // As when deliveries come in: by a callback, whose promises are due after it.
      const answers = await new Promise<unknown>((told) => setImmediate(() => told(Promise.all(ask()))));
      expect(await calls(raw, 'evalsha')).to.equal(1);
      const lost = times('lost', 3);
      const expected = [GRANTED, 'ok', 'ok', 'marked', 'ok', GRANTED, ...lost, undefined, GRANTED, GRANTED];
      expect(answers).to.deep.equal(expected);
    });

    it('nothing twice, nor together with the next turn', async () => {
      await claimAll(freshKeys(2));
      await claimAll(freshKeys(LARGEST));
      await claimAll(freshKeys(3));
      expect(await calls(raw, 'evalsha')).to.equal(3);
      expect(await calls(raw, 'hset')).to.equal(LARGEST + 5);
    });
  });

  describe('answers', () => {
    it('each as if it had come alone, in the order in which they were asked', async () => {
      const key = freshKey();
      const first = publishing('a');
      const second = publishing('b');
      const answers = await Promise.all([
        guard.claimPublishing(key, first),
        guard.confirm(key, first, 60_000),
        guard.claimPublishing(key, second),
        guard.waiting(key),
        claim(freshKey()),
        guard.claimRunning(key, running('a')),
        guard.waiting(key),
      ]);
      const [granted, confirmed, refused, waiting, another, ran, nobody] = answers;
      expect([granted, confirmed, another, ran]).to.deep.equal([GRANTED, 'ok', GRANTED, GRANTED]);
      expect(nobody).to.equal(undefined);
      const holder = { owner: 'a', phase: 'queued', fence: first.fence, seq: first.fence } as const;
      expectHeld(refused, holder);
      expect(waiting).to.deep.include(holder);
    });

    it('many of one key in order, too, across commands', async () => {
      const key = freshKey();
      const claims = Array.from({ length: 2 * LARGEST + 22 }, (_, n) => publishing(`task-${n}`));
      const answers = await Promise.all(claims.map((each) => guard.claimPublishing(key, each)));
      expect(answers[0]).to.deep.equal(GRANTED);
      for (const answer of answers.slice(1)) expect(answer).to.have.nested.property('holder.owner', 'task-0');
    });

    it('those that bring ids and arguments of several lines, too', async () => {
      const key = freshKey();
      const holder = publishing('a\nb');
      const offer = { args: '[[1],\n{}]\n' };
      const [, , offered, waiting, other] = await Promise.all([
        guard.claimPublishing(key, holder),
        guard.confirm(key, holder, 60_000),
        guard.claimPublishing(key, publishing('c', { offer })),
        guard.waiting(key),
        claim(freshKey()),
      ]);
      expect(offered).to.include({ outcome: 'held', offered: true });
      expect(waiting).to.include({ owner: 'a\nb' });
      expect(other).to.deep.equal(GRANTED);
      const kept = (await guard.newest(key, holder)) as { args: string };
      expect(JSON.parse(kept.args)).to.deep.equal([[1], {}]);
    });

    it('"unknown" for a key that is no record of ours, and the others as ever', async () => {
      const [strange, ...keys] = freshKeys(12) as [string, ...string[]];
      const spoilt = freshKey();
      await raw.set(strange, 'x');
      // An owner that no text of ours encodes to.
      await raw.hset(spoilt, { o: '%zz', p: 'q', f: 1, t: Date.now() + 60_000 });
      const [text, owner, held, textWaits, ownerWaits, ...rest] = await Promise.all([
        claim(strange),
        claim(spoilt),
        guard.renew(strange, publishing('a'), 1000),
        guard.waiting(strange),
        guard.waiting(spoilt),
        ...keys.map((key) => claim(key)),
      ]);
      expect(text.outcome).to.equal('unknown');
      expect(text).to.have.nested.property('cause.message').that.includes('WRONGTYPE');
      expect(owner.outcome).to.equal('unknown');
      expect(held).to.equal('unknown');
      expect([textWaits, ownerWaits]).to.deep.equal([undefined, undefined]);
      expect(rest).to.deep.equal(keys.map(() => GRANTED));
      // Nothing is left to wait for.
      await guard.close();
    });

    it('each once when Redis has forgotten its scripts', async () => {
      await claim(freshKey());
      await raw.script('FLUSH');
      await raw.config('RESETSTAT');
      const claims = freshKeys(LARGEST + 6).map((key) => ({ key, claim: publishing('a') }));
      const answers = await Promise.all(claims.map((each) => guard.claimPublishing(each.key, each.claim)));
      expect(answers).to.deep.equal(claims.map(() => GRANTED));
      const taken = await Promise.all(claims.map(({ key }) => raw.hget(key, 'f')));
      expect(taken).to.deep.equal(claims.map((each) => String(each.claim.fence)));
      // One each: no fence was proposed twice.
      expect(await calls(raw, 'hset')).to.equal(claims.length);
      expect(await calls(raw, 'eval')).to.equal(2);
    });

    it('for the keys that a client with a prefix means', async () => {
      const prefixed = new Redis(server.url, { keyPrefix: 'mine:', lazyConnect: true });
      guard = await open(prefixed);
      const keys = freshKeys(5);
      expect(await outcomes(keys)).to.deep.equal(times('granted', 5));
      expect(await raw.exists(...keys.map((key) => `mine:${key}`))).to.equal(5);
      expect(await raw.exists(...keys)).to.equal(0);
    });

    it('all of them before it closes', async () => {
      for (const count of [2, LARGEST + 6]) {
        guard = await open(server.url);
        const keys = freshKeys(count);
        const asked = outcomes(keys);
        const waiting = guard.waiting(keys[0]!);
        await guard.close();
        expect(await asked).to.deep.equal(times('granted', count));
        expect(await waiting).to.equal(undefined);
        expect(await raw.exists(...keys)).to.equal(count);
      }
    });
  });

  it('and on three, asks each once for all who wait, before it closes, too', async () => {
    const nodes = [0, 1, 2].map((database) => `${server.url}/${database}`);
    const [key, ...keys] = freshKeys(12) as [string, ...string[]];
    const identity = publishing('a');
    const earlier = await open(...nodes);
    await earlier.claimPublishing(key, identity);
    await earlier.confirm(key, identity, 60_000);
    await earlier.waiting(key);
    await earlier.close();
    const several = await open(...nodes);
    await raw.config('RESETSTAT');
    const asked = [key, ...keys].map((each) => several.waiting(each));
    await several.close();
    const [holder, ...nobody] = await Promise.all(asked);
    expect(holder).to.include({ owner: 'a', phase: 'queued', fence: identity.fence });
    expect(nobody).to.deep.equal(keys.map(() => undefined));
    expect(await calls(raw, 'evalsha')).to.equal(3);
  });

  describe('on a server that', () => {
    it('hangs, answers "unknown" to all of them in time', async () => {
      await claim(freshKey());
      await server.kill('SIGSTOP');
      // Before the connection itself is given up, after two seconds.
      const began = performance.now();
      const keys = freshKeys(LARGEST + 6);
      const asked = outcomes(keys);
      const others = [guard.renew(keys[0]!, publishing('a'), 1000), guard.abandon(keys[0]!, publishing('a'))];
      const [answers, kept, waiting] = await Promise.all([asked, Promise.all(others), guard.waiting(keys[0]!)]);
      const took = performance.now() - began;
      await server.kill('SIGCONT');
      expect(answers).to.deep.equal(times('unknown', keys.length));
      expect(kept).to.deep.equal(times('unknown', 2));
      expect(waiting).to.equal(undefined);
      expect(took).to.be.within(200, 1_900);
    });

    it('may not write, is unavailable for claims, and still says who waits', async () => {
      const [queued, ...keys] = freshKeys(12) as [string, ...string[]];
      const identity = publishing('w');
      await guard.claimPublishing(queued, identity);
      await guard.confirm(queued, identity, 60_000);
      const refusals = {
        READONLY: () => raw.replicaof('127.0.0.1', 1),
        NOREPLICAS: async () => {
          await raw.replicaof('NO', 'ONE');
          await raw.config('SET', 'min-replicas-to-write', 1);
        },
      };
      for (const [name, refuse] of Object.entries(refusals)) {
        await refuse();
        const [answers, waiting] = await Promise.all([claimAll(keys), guard.waiting(queued)]);
        for (const answer of answers) {
          expect(answer.outcome).to.equal('unavailable');
          expect(answer).to.have.nested.property('cause.message').that.includes(name);
        }
        expect(waiting).to.include({ owner: 'w' });
      }
    });

    it('is busy with a script of somebody else, is unavailable for all of them', async () => {
      await raw.config('SET', 'lua-time-limit', 1);
      const other = new Redis(server.url);
      const endless = other.eval('while true do end', 0).catch(() => {});
      await eventually(async () => expect(await outcomes(freshKeys(3))).to.deep.equal(times('unavailable', 3)));
      await raw.script('KILL');
      await endless;
      other.disconnect();
      expect(await outcomes(freshKeys(3))).to.deep.equal(times('granted', 3));
    });

    // As Redis sees it, a script that has written once may go on.
    it('has no memory left, answers each with what was done', async () => {
      const kept = freshKey();
      const run = running('r');
      await guard.claimRunning(kept, run);
      // Its release begins with a command that needs no memory.
      await raw.hset(kept, 'a', `${run.fence - 1} [[1],{}]`);
      await raw.config('SET', 'maxmemory', '1mb');
      const [before, after] = freshKeys(2) as [string, string];
      const [refused, released, granted] = await Promise.all([
        claim(before),
        guard.release(kept, run, { seq: fences.next(), dead: false }),
        claim(after),
      ]);
      expect(refused.outcome).to.equal('unavailable');
      expect(refused).to.have.nested.property('cause.message').that.includes('OOM');
      expect(await raw.exists(before)).to.equal(0);
      expect(released).to.equal('ok');
      expect(await raw.hget(kept, 'o')).to.equal(null);
      expect(granted).to.deep.equal(GRANTED);
      expect(await raw.hget(after, 'o')).to.equal('a');
      expect(await outcomes(freshKeys(3))).to.deep.equal(times('unavailable', 3));
    });

    it('is one of a cluster, and takes keys of one slot only, is asked for each alone from then on', async () => {
      await start(['--cluster-enabled', 'yes']);
      await raw.cluster('ADDSLOTS', ...Array.from({ length: 16_384 }, (_, slot) => slot));
      await eventually(async () => expect(await raw.cluster('INFO')).to.include('cluster_state:ok'));
      await raw.config('RESETSTAT');
      const keys = freshKeys(LARGEST + 6);
      const identity = publishing('b');
      const [answers, refused, confirmed] = await Promise.all([
        claimAll(keys),
        guard.claimPublishing(keys[0]!, identity),
        guard.confirm(keys[1]!, identity, 60_000),
      ]);
      expect(answers).to.deep.equal(keys.map(() => GRANTED));
      expect(refused).to.have.nested.property('holder.owner', 'a');
      expect(confirmed).to.equal('lost');
      expect(await calls(raw, 'hset')).to.equal(keys.length);
      await raw.config('RESETSTAT');
      expect(await outcomes(freshKeys(10))).to.deep.equal(times('granted', 10));
      expect(await calls(raw, 'evalsha')).to.equal(10);
    });
  });
});
