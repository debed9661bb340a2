import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import type { Guard, Identity } from '../../lib/guard.js';
import { createRedlockGuard } from '../../lib/guards/redlock.js';
import { freshKey, publishing, running } from '../support/guards.js';
import { testRedisUrl } from '../support/servers.js';

describe('the record on Redis, seen by a raw connection', () => {
  let raw: Redis;
  let guard: Guard;
  let key: string;

  before(async () => {
    raw = new Redis(testRedisUrl());
    guard = createRedlockGuard({ nodes: [testRedisUrl()], clock: systemClock });
    await guard.connect(5000);
  });
  after(async () => {
    await guard.close();
    await raw.quit();
  });
  beforeEach(() => {
    key = freshKey();
  });

  it('is one hash under the name that was given, its fence written out', async () => {
    const claim = publishing('task-1', { expires: 5e12 });
    await guard.claimPublishing(key, claim);
    const { t, ...rest } = await raw.hgetall(key);
    const fence = String(claim.fence);
    expect(rest).to.deep.equal({ o: 'task-1', p: 'p', f: fence, s: fence, e: '5000000000000' });
    expect(Number(t)).to.be.closeTo(Date.now() + 5000, 500);
  });

  it('keeps arguments and marks as "<sequence> <json>"', async () => {
    const holder = publishing('a');
    await guard.claimPublishing(key, holder);
    await guard.confirm(key, holder, 60_000);
    const one = publishing('b', { offer: { args: '[["é \\n"],{}]' } });
    await guard.claimPublishing(key, one);
    expect(await raw.hget(key, 'a')).to.equal(`${one.fence} [["é \\n"],{}]`);
  });

  it('stands in one step of the script or not at all: no key is left without an expiry', async () => {
    const steps: [string, (identity: Identity) => Promise<unknown>][] = [
      ['publish', () => guard.claimPublishing(key, publishing('a'))],
      ['extend', (a) => guard.extendPublishing(key, a, 9000)],
      ['confirm', (a) => guard.confirm(key, a, 60_000)],
      ['offer', () => guard.claimPublishing(key, publishing('b', { offer: { args: '[1]' } }))],
      ['run', () => guard.claimRunning(key, running('a'))],
      ['stop', () => guard.claimRunning(key, running('a', { nonce: 'x' }))],
      ['abandon another', () => guard.abandon(key, running('z'))],
      ['hold', (a) => guard.hold(key, a, 60_000)],
      ['run again', () => guard.claimRunning(key, running('a'))],
      ['renew', (a) => guard.renew(key, a, 20_000)],
      ['release', (a) => guard.release(key, a, { seq: 0, dead: false })],
      ['abandon nothing', () => guard.abandon(key, running('z'))],
    ];
    for (const [name, step] of steps) {
      const { owner = '', fence = 0 } = (await guard.read(key)) ?? {};
      await step({ owner, fence });
      const { deadline } = (await guard.read(key))!;
      const holds = Math.max(0, deadline - systemClock.now());
      expect(await raw.pttl(key), name).to.be.closeTo(holds + 600_000, 1000);
    }
  });

  it('takes at most 256 bytes for a key of 45 bytes and a uuid: queued, running and at rest', async () => {
    const owner = randomUUID();
    const size = async (): Promise<number> => Number(await raw.memory('USAGE', key));
    const sizes: Record<string, number> = {};
    expect(key).to.have.lengthOf(45);
    const claim = publishing(owner);
    await guard.claimPublishing(key, claim);
    await guard.confirm(key, claim, 60_000);
    sizes['queued'] = await size();
    const run = running(owner, { seq: claim.fence, nonce: randomUUID().slice(24), copy: randomUUID().slice(24) });
    await guard.claimRunning(key, run);
    sizes['running'] = await size();
    await guard.release(key, run, { seq: claim.fence, dead: false });
    sizes['rest'] = await size();
    for (const [state, bytes] of Object.entries(sizes)) expect(bytes, state).to.be.at.most(256);
  });
});
