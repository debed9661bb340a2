import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { pause, systemClock, type Clock } from '../../lib/clock.js';
import type { ResultBackend, StoredResult } from '../../lib/result-backend.js';
import { createRedisResults } from '../../lib/results/redis.js';
import { eventually } from '../support/eventually.js';
import { startRedis, testRedisUrl, type Server } from '../support/servers.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { rejection } from '../support/transports.js';

const succeeded = (value: unknown): StoredResult => ({ status: 'succeeded', value, fence: undefined });

const systemPause = (ms: number): Promise<void> => pause(systemClock, ms);

describe('results on Redis', () => {
  const opened: { close(): Promise<unknown> }[] = [];
  const keep = <T extends { close(): Promise<unknown> }>(thing: T): T => {
    opened.push(thing);
    return thing;
  };
  const open = (url = testRedisUrl()): ResultBackend => keep(createRedisResults({ redis: url, clock: systemClock }));
  const raw = async (use: (redis: Redis) => Promise<void>): Promise<void> => {
    const redis = new Redis(testRedisUrl());
    await use(redis);
    await redis.quit();
  };
  const wait = (backend: ResultBackend, id: string, ms = 8_000) =>
    backend.wait({ id, after: undefined }, AbortSignal.timeout(ms));
  afterEach(async () => {
    for (const each of opened.splice(0).reverse()) await each.close();
  });

  it('are one key with an expiry and one message on its channel, as Celery writes them', async () => {
    const backend = open();
    await backend.connect(5_000);
    const id = randomUUID();
    const key = `celery-task-meta-${id}`;
    await raw(async (redis) => {
      const heard: string[] = [];
      const subscriber = redis.duplicate();
      subscriber.on('message', (_, text) => heard.push(text));
      await subscriber.subscribe(key);
      await backend.store(id, 'loans.recompute', { status: 'succeeded', value: { total: 1 }, fence: 12 });
      const text = await redis.get(key);
      const { date_done, ...meta } = JSON.parse(text ?? '') as Record<string, unknown>;
      expect(meta).to.deep.equal({
        status: 'SUCCESS',
        result: { total: 1 },
        traceback: null,
        children: [],
        task_id: id,
        name: 'loans.recompute',
        fence: 12,
      });
      expect(date_done).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$/);
      expect(await redis.ttl(key)).to.be.within(86_390, 86_400);
      await eventually(() => expect(heard).to.deep.equal([text]));

      const error = { type: 'RateError', message: 'no rate', code: 'E_RATE', stack: 'at f.ts:1' };
      await backend.store(id, 'loans.recompute', { status: 'failed', error, fence: 13 });
      expect(JSON.parse((await redis.get(key)) ?? '')).to.deep.include({
        status: 'FAILURE',
        result: { exc_type: 'RateError', exc_message: ['no rate'], exc_module: null },
        traceback: 'at f.ts:1',
      });

      const other = randomUUID();
      await backend.store(other, 'loans.recompute', { status: 'dropped', holder: id, after: undefined });
      expect(JSON.parse((await redis.get(`celery-task-meta-${other}`)) ?? '')).to.deep.include({
        status: 'REVOKED',
        result: {
          exc_type: 'TaskRevokedError',
          exc_message: [`duplicate of ${id}`],
          exc_module: 'celery.exceptions',
        },
        dropped: id,
      });
      expect(await redis.ttl(`celery-task-meta-${other}`)).to.be.within(86_390, 86_400);
      await subscriber.quit();
    });
  });

  it('are read as a Celery worker writes them, and only once the task has ended', async () => {
    const backend = open();
    await backend.connect(5_000);
    const id = randomUUID();
    const key = `celery-task-meta-${id}`;
    await raw(async (redis) => {
      const write = (meta: object): Promise<unknown> => {
        const text = JSON.stringify({ traceback: null, children: [], task_id: id, ...meta });
        return redis.multi().setex(key, 86_400, text).publish(key, text).exec();
      };
      const waiting = wait(backend, id);
      for (const status of ['PENDING', 'STARTED', 'RETRY', 'PROGRESS', 'IGNORED']) await write({ status, result: {} });
      expect(await wait(backend, id, 100)).to.equal(undefined);
      await write({ status: 'SUCCESS', result: 42, date_done: '2026-01-31T22:05:07.250000' });
      expect(await waiting).to.deep.equal(succeeded(42));

      const failures: [object, object][] = [
        [
          {
            status: 'FAILURE',
            result: { exc_type: 'ValueError', exc_message: ['bad', 7], exc_module: 'builtins' },
            traceback: 'Traceback (most recent call last):\n  File "t.py"',
          },
          {
            type: 'ValueError',
            message: 'bad, 7',
            code: undefined,
            stack: 'Traceback (most recent call last):\n  File "t.py"',
          },
        ],
        [
          { status: 'FAILURE', result: { exc_type: 'KeyError', exc_message: 'x' } },
          { type: 'KeyError', message: 'x', code: undefined, stack: undefined },
        ],
        [
          { status: 'REVOKED', result: { exc_type: 'TaskRevokedError', exc_message: ['terminated'] } },
          { type: 'TaskRevokedError', message: 'terminated', code: undefined, stack: undefined },
        ],
        [
          { status: 'REVOKED', result: null },
          { type: 'TaskRevokedError', message: '', code: undefined, stack: undefined },
        ],
      ];
      for (const [meta, error] of failures) {
        await write(meta);
        expect(await wait(backend, id)).to.deep.equal({ status: 'failed', error, fence: undefined });
      }

      await redis.set(key, '{"status": "SUCCESS", "result": NaN}');
      expect(await rejection(wait(backend, id))).to.have.property('code', 'PAYLOAD');
      await redis.set(key, '{}');
      expect(await wait(backend, id, 50)).to.equal(undefined);
    });
  });

  it('are waited for on channels that are left when nobody waits any longer', async () => {
    const backend = open();
    await backend.connect(5_000);
    const ids = Array.from({ length: 20 }, () => randomUUID());
    await raw(async (redis) => {
      const channels = async (): Promise<number> => {
        const open = (await redis.pubsub('CHANNELS', 'celery-task-meta-*')) as string[];
        return open.filter((channel) => ids.some((id) => channel.endsWith(id))).length;
      };
      const waits = [...ids, ...ids].map((id) => wait(backend, id));
      await eventually(async () => expect(await channels()).to.equal(20));
      await Promise.all(ids.slice(0, 10).map((id) => backend.store(id, 't', succeeded(id))));
      await eventually(async () => expect(await channels()).to.equal(10));
      await Promise.all(ids.slice(10).map((id) => backend.store(id, 't', succeeded(id))));
      expect((await Promise.all(waits)).filter((each) => each?.status === 'succeeded')).to.have.length(40);
      await eventually(async () => expect(await channels()).to.equal(0));
    });
  });

  describe('through a link that fails', () => {
    let proxy: TcpProxy;
    let near: ResultBackend;
    let far: ResultBackend;
    beforeEach(async () => {
      proxy = keep(await startProxy(testRedisUrl()));
      near = open();
      far = open(proxy.url);
      await Promise.all([near.connect(5_000), far.connect(5_000)]);
    });

    it('have one link for whatever is waited for, and none before', async () => {
      expect(proxy.clients).to.equal(1);
      const ids = Array.from({ length: 20 }, () => randomUUID());
      const waits = ids.map((id) => wait(far, id));
      await eventually(() => expect(proxy.clients).to.equal(2));
      await systemPause(50);
      expect(proxy.clients).to.equal(2);
      await Promise.all(ids.map((id) => near.store(id, 't', succeeded(id))));
      expect(await Promise.all(waits)).to.deep.equal(ids.map(succeeded));
    });

    it('are found after a cut, though they were announced while nobody heard', async () => {
      const [first, second] = [randomUUID(), randomUUID()];
      const waits = [wait(far, first), wait(far, second)];
      await systemPause(100);
      proxy.refuse(true);
      proxy.cut();
      await near.store(first, 't', succeeded('missed'));
      proxy.refuse(false);
      expect(await waits[0]).to.deep.equal(succeeded('missed'));
      await near.store(second, 't', succeeded('heard'));
      expect(await waits[1]).to.deep.equal(succeeded('heard'));
    });

    it('say that Redis was away, when the time is over before it comes back', async () => {
      const waiting = rejection(wait(far, randomUUID(), 700));
      proxy.refuse(true);
      proxy.cut();
      expect(await waiting).to.have.property('code', 'RESULTS_UNAVAILABLE');
      const began = performance.now();
      const refused = await rejection(far.store(randomUUID(), 't', succeeded(1)));
      expect(refused).to.have.property('code', 'RESULTS_UNAVAILABLE');
      expect(performance.now() - began).to.be.below(1_500);
    });

    it('do not hang on a Redis that says nothing', async () => {
      proxy.mute();
      const began = performance.now();
      const refused = await rejection(far.store(randomUUID(), 't', succeeded({ secret: 'x' })));
      expect(refused).to.have.property('code', 'RESULTS_UNAVAILABLE');
      expect(performance.now() - began).to.be.below(2_000);
      expect(JSON.stringify([refused.message, refused.cause, Object.values(refused)])).to.not.contain('secret');
    });

    // A dead link is silent, and so is one on which nothing happens: it has to be asked, every ten seconds.
    it('are found though the subscription died without a word', async () => {
      const brisk: Clock = {
        ...systemClock,
        after: (ms, ...rest) => systemClock.after(ms === 10_000 ? 200 : ms, ...rest),
      };
      const deafened = keep(createRedisResults({ redis: proxy.url, clock: brisk }));
      await deafened.connect(5_000);
      const id = randomUUID();
      const waiting = wait(deafened, id, 15_000);
      await systemPause(100);
      proxy.deafen();
      await near.store(id, 't', succeeded('unheard'));
      expect(await waiting).to.deep.equal(succeeded('unheard'));
    });
  });

  it('tell at the start what is wrong: nobody there, or a login that is refused', async () => {
    const nobody = open('redis://user:secret@127.0.0.1:1/0');
    expect(nobody.address).to.equal('redis://user:***@127.0.0.1:1/0');
    const refused = await rejection(nobody.connect(300));
    expect(refused).to.have.property('code', 'RESULTS_UNAVAILABLE');
    expect(refused.message).to.contain('ECONNREFUSED').and.not.contain('secret');

    const guarded: Server = await startRedis({ args: ['--requirepass', 'right'] });
    try {
      const began = performance.now();
      const wrong = open(`redis://:wrong@127.0.0.1:${guarded.port}`);
      expect(await rejection(wrong.connect(5_000))).to.have.property('code', 'ACCESS_REFUSED');
      expect(performance.now() - began).to.be.below(2_000);
    } finally {
      await guarded.stop();
    }
  });
});
