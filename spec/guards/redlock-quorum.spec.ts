import { expect } from 'chai';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { RedlockGuard } from '../../lib/guards/redlock.js';
import { eventually } from '../support/eventually.js';
import { fences, freshKey, publishing, running } from '../support/guards.js';
import { startRedis, type Server } from '../support/servers.js';

describe('the guard on three Redis nodes', () => {
  let servers: Server[];
  let guard: RedlockGuard;
  let raw: Redis[];
  let key: string;

  before(async () => {
    servers = await Promise.all([startRedis(), startRedis(), startRedis()]);
    guard = new RedlockGuard({ nodes: servers.map(({ url }) => url), clock: systemClock });
    raw = servers.map(({ url }) => new Redis(url));
    for (const client of raw) client.on('error', () => {});
    await guard.connect(5000);
    const probe = freshKey();
    await eventually(async () => {
      await guard.abandon(probe, publishing('probe'));
      for (const client of raw) expect(await client.exists(probe)).to.equal(1);
    });
  });
  after(async () => {
    await guard.close();
    for (const client of raw) client.disconnect();
    await Promise.all(servers.map((server) => server.stop()));
  });
  beforeEach(() => {
    key = freshKey();
  });

  /** Once in some tries it takes less time than a command to a node that hangs: on a busy machine each may take long. */
  const soon = <T>(act: () => Promise<T>): Promise<T> =>
    eventually(async () => {
      const began = performance.now();
      const result = await act();
      expect(performance.now() - began).to.be.below(240);
      return result;
    });
  const hold = (node: number, owner: string, fence: number) =>
    raw[node]!.hset(key, { o: owner, p: 'q', f: fence, s: fence, t: Date.now() + 60_000 });

  it('grants on all, and does not wait for one that hangs', async () => {
    await servers[2]!.kill('SIGSTOP');
    try {
      await soon(async () => {
        key = freshKey();
        const granted = await guard.claimPublishing(key, publishing('a'));
        const refused = await guard.claimPublishing(key, publishing('b'));
        expect(granted.outcome).to.equal('granted');
        expect(refused).to.have.nested.property('holder.owner', 'a');
      });
    } finally {
      await servers[2]!.kill('SIGCONT');
    }
  });

  it('knows a mark that any of them has, and that none has it by a quorum alone', async () => {
    await raw[2]!.set(key, '1');
    expect(await guard.notes.marked(key)).to.equal(true);
    expect(await guard.notes.marked(`${key}x`)).to.equal(false);
    await Promise.all([servers[0]!.kill('SIGSTOP'), servers[1]!.kill('SIGSTOP')]);
    const [one, other] = await Promise.all([guard.notes.marked(key), guard.notes.marked(`${key}x`)]);
    const set = await guard.notes.mark(`${key}y`, 1_000);
    await Promise.all([servers[0]!.kill('SIGCONT'), servers[1]!.kill('SIGCONT')]);
    expect({ one, other, set }).to.deep.equal({ one: true, other: undefined, set: false });
  });

  it('counts what the one that heard most has heard', async () => {
    await raw[1]!.set(key, '4');
    expect(await guard.notes.count(key, 60_000)).to.equal(5);
    await guard.notes.forget(key);
    expect(await guard.notes.count(key, 60_000)).to.equal(1);
  });

  it('does not take mixed refusals for evidence', async () => {
    await hold(0, 'a', fences.next());
    await hold(1, 'b', fences.next());
    expect((await guard.claimPublishing(key, publishing('c'))).outcome).to.equal('unknown');
  });

  it('says who waits by more than half of the nodes, with one that hangs or came back empty', async () => {
    const fence = fences.next();
    await hold(0, 'a', fence);
    await hold(1, 'b', fence);
    expect(await guard.waiting(key)).to.equal(undefined);
    await hold(1, 'a', fence + 1);
    expect(await guard.waiting(key)).to.equal(undefined);
    await hold(1, 'a', fence);
    expect(await guard.waiting(key)).to.include({ owner: 'a', fence });
    await servers[2]!.kill('SIGSTOP');
    const withoutOne = await soon(() => guard.waiting(key));
    await servers[0]!.kill('SIGSTOP');
    const withoutTwo = await guard.waiting(key);
    for (const server of [servers[0]!, servers[2]!]) await server.kill('SIGCONT');
    expect(withoutOne).to.include({ owner: 'a', fence });
    expect(withoutTwo).to.equal(undefined);
  });

  // done: node 0 missed the release of the second run, node 1 came back empty between the two, node 2 after them
  it('finds a message done whose nodes remember different runs as the last', async () => {
    const [seq, first, second] = [fences.next(), fences.next(), fences.next()];
    await raw[0]!.hset(key, { f: first, d: 'first', u: first, v: seq });
    await raw[1]!.hset(key, { f: second, d: 'second', u: second, v: second });
    for (const strategy of ['discard', 'coalesce'] as const) {
      const answer = await guard.claimRunning(key, running('again', { seq, strategy }));
      expect(answer).to.include({ outcome: 'done', own: false });
      // The third granted it, and is told that it is none.
      await eventually(async () => expect(await raw[2]!.hget(key, 'o')).to.equal(null));
    }
  });

  it('lets go of what a minority granted', async () => {
    const fence = fences.next();
    await hold(0, 'a', fence);
    await hold(1, 'a', fence);
    const claim = publishing('c');
    expect(await guard.claimPublishing(key, claim)).to.have.nested.property('holder.fence', fence);
    await eventually(async () => {
      expect(await raw[2]!.hgetall(key)).to.deep.equal({ f: String(claim.fence) });
      expect(await raw[0]!.hget(key, 'l')).to.equal(String(claim.fence));
    });
  });

  // R9
  it('loses no mark to a node that was paused when it was set, nor to one that lost its memory since', async () => {
    const run = running('a');
    await guard.claimRunning(key, run);
    await eventually(async () => {
      for (const client of raw) expect(await client.hget(key, 'o')).to.equal('a');
    });
    await servers[0]!.kill('SIGSTOP');
    const newcomer = publishing('b', { offer: { args: '[[2],{}]' } });
    expect(await guard.claimPublishing(key, newcomer)).to.include({ outcome: 'held', offered: true });
    await servers[0]!.kill('SIGCONT');
    await eventually(async () => expect(await guard.release(key, run, { seq: 0, dead: false })).to.equal('marked'));
    await raw[1]!.del(key);
    const again = running('a', { rerun: true });
    expect((await guard.claimRunning(key, again)).outcome).to.equal('granted');
    const mark = { seq: newcomer.fence, args: '[[2],{}]' };
    await eventually(async () => expect(await raw[2]!.hget(key, 'f')).to.equal(String(again.fence)));
    expect(await guard.newest(key, again)).to.deep.equal(mark);
    await servers[0]!.kill('SIGSTOP');
    const withoutOne = await guard.newest(key, again);
    await servers[0]!.kill('SIGCONT');
    expect(withoutOne).to.deep.equal(mark);
  });

  it('goes on with a hold when a node comes back empty, which takes no part in it', async () => {
    const run = running('a');
    await guard.claimRunning(key, run);
    await eventually(async () => expect(await raw[1]!.exists(key)).to.equal(1));
    await raw[1]!.flushall();
    expect(await guard.renew(key, run, 15_000)).to.equal('ok');
    const newcomer = publishing('b');
    expect(await guard.claimPublishing(key, newcomer)).to.have.nested.property('holder.owner', 'a');
    await eventually(async () => expect(await raw[1]!.hget(key, 'o')).to.equal(null));
    expect(await guard.read(key)).to.include({ owner: 'a' });
    expect(await guard.release(key, run, { seq: 0, dead: false })).to.equal('ok');
  });

  it('does not say which arguments are the newest without a quorum', async () => {
    const run = running('a');
    await guard.claimRunning(key, run);
    await Promise.all([servers[1]!.kill('SIGSTOP'), servers[2]!.kill('SIGSTOP')]);
    const answer = await guard.newest(key, run);
    await Promise.all([servers[1]!.kill('SIGCONT'), servers[2]!.kill('SIGCONT')]);
    expect(answer).to.equal('unknown');
  });

  it('is unavailable without a quorum', async () => {
    await Promise.all([servers[0]!.kill(), servers[1]!.kill()]);
    await eventually(async () =>
      expect((await guard.claimPublishing(freshKey(), publishing('a'))).outcome).to.equal('unavailable'),
    );
  });
});
