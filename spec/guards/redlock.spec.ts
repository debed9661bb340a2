import { inspect } from 'node:util';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { AccessRefusedError, ClosedError, ConfigError, LockUnavailableError } from '../../lib/errors.js';
import type { Guard } from '../../lib/guard.js';
import { createRedlockGuard } from '../../lib/guards/redlock.js';
import { eventually } from '../support/eventually.js';
import { freshKey, publishing } from '../support/guards.js';
import { startRedis, testRedisUrl, type Server as RedisServer } from '../support/servers.js';

const on = (...nodes: (string | Redis)[]): Guard => createRedlockGuard({ nodes, clock: systemClock });

async function failure(work: Promise<unknown>): Promise<Error> {
  const error = await work.then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  if (error === undefined) expect.fail('did not reject');
  return error;
}

/** What `work` resolves with, and how long it took. */
async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  return [await work, performance.now() - start];
}

describe('the guard on Redis', () => {
  const closing: (() => Promise<unknown> | void)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });
  const open = (guard: Guard): Guard => {
    closing.push(() => guard.close());
    return guard;
  };
  async function own(args: string[] = []): Promise<RedisServer> {
    const server = await startRedis({ args });
    closing.push(() => server.stop());
    return server;
  }
  async function tcp(answer?: (line: string) => string | undefined): Promise<number> {
    const server: Server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (data) => {
        for (const [, command = ''] of data.toString().matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
          const reply = answer?.(command.toUpperCase());
          if (reply !== undefined) socket.write(reply);
        }
      });
      closing.push(() => void socket.destroy());
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => void server.close());
    return (server.address() as AddressInfo).port;
  }

  describe('is made', () => {
    it('of an odd number of nodes, each of them once', () => {
      expect(() => on()).to.throw(ConfigError, 'odd number');
      expect(() => on('redis://a', 'redis://b')).to.throw(ConfigError, 'odd number');
      expect(() => on('redis://a', 'redis://b', 'redis://a')).to.throw(ConfigError, 'twice');
      expect(on('redis://a', 'redis://u:hush@b', 'redis://c').address).to.equal(
        'redis://a, redis://u:***@b, redis://c',
      );
    });

    it('of Redis URLs, and never shows their passwords', () => {
      expect(on('redis://user:hush@host:7000/2?password=hush').address).to.equal('redis://user:***@host:7000/2');
      expect(on('rediss://:hush@host').address).to.equal('rediss://:***@host');
      for (const bad of ['localhost:6379', 'amqp://user:hush@host', 'redis://', 'hush'])
        expect(() => on(bad), bad)
          .to.throw(ConfigError)
          .that.satisfies((error: Error) => !inspect(error).includes('hush'));
    });

    it('of a client, which is duplicated and stays untouched', async () => {
      const given = new Redis(testRedisUrl(), { lazyConnect: true });
      const guard = open(on(given));
      await guard.connect(5000);
      expect(given.status).to.equal('wait');
      expect((await guard.claimPublishing(freshKey(), publishing('a'))).outcome).to.equal('granted');
      await guard.close();
      expect(given.status).to.equal('wait');
      expect(given.options.commandTimeout).to.equal(undefined);
    });
  });

  describe('connects', () => {
    it('not to a port that refuses, and says so after the timeout; a claim says so at once', async () => {
      const guard = open(on('redis://127.0.0.1:1'));
      const error = await failure(guard.connect(300));
      expect(error).to.be.instanceOf(LockUnavailableError);
      expect(error.message).to.include('redis://127.0.0.1:1').and.include('ECONNREFUSED');
      const [answer, ms] = await timed(guard.claimPublishing(freshKey(), publishing('a')));
      expect(answer.outcome).to.equal('unavailable');
      expect(ms).to.be.below(1_000);
      expect(await guard.abandon(freshKey(), publishing('a'))).to.equal('unknown');
      expect(await failure(guard.read(freshKey()))).to.be.instanceOf(LockUnavailableError);
    });

    it('not to a server that never answers', async () => {
      const guard = open(on(`redis://127.0.0.1:${await tcp()}`));
      expect(await failure(guard.connect(400))).to.be.instanceOf(LockUnavailableError);
      expect((await guard.claimPublishing(freshKey(), publishing('a'))).outcome).to.equal('unavailable');
    });

    it('not with a wrong password or none, and says so at once without telling the password', async () => {
      const { port } = await own(['--requirepass', 'secret']);
      for (const login of ['', ':mistaken@', 'user:mistaken@']) {
        const guard = open(on(`redis://${login}127.0.0.1:${port}`));
        const [error, ms] = await timed(failure(guard.connect(5000)));
        expect(error).to.be.instanceOf(AccessRefusedError);
        expect(inspect(error, { depth: 9 })).not.to.include('mistaken');
        expect(ms).to.be.below(4_000);
      }
      await open(on(`redis://:secret@127.0.0.1:${port}`)).connect(5000);
    });

    it('not to a Redis before 6.2', async () => {
      const info = 'redis_version:6.0.16\r\nloading:0\r\n';
      const port = await tcp((command) => {
        if (command === 'HELLO') return '-ERR unknown command `HELLO`\r\n';
        return command === 'INFO' ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n';
      });
      const error = await failure(open(on(`redis://127.0.0.1:${port}`)).connect(2000));
      expect(error).to.be.instanceOf(ConfigError);
      expect(error.message).to.include('6.0.16').and.include('6.2');
    });

    it('to a Redis that may evict keys with a warning, to another without', async () => {
      for (const [policy, warnings] of [
        ['allkeys-lru', 1],
        ['noeviction', 0],
      ] as const) {
        const { url } = await own(['--maxmemory-policy', policy]);
        const texts: string[] = [];
        const guard = open(on(url));
        guard.listen({ available() {}, warn: (text) => texts.push(text) });
        await guard.connect(5000);
        expect(texts).to.have.lengthOf(warnings);
        if (warnings > 0) expect(texts[0]).to.include(policy).and.include('noeviction');
      }
    });
  });

  describe('with a server that', () => {
    it('hangs answers "unknown" in time; the late claim is let go by its abandon', async () => {
      const server = await own();
      const guard = open(on(server.url));
      await guard.connect(5000);
      const key = freshKey();
      await guard.claimPublishing(freshKey(), publishing('a'));
      await server.kill('SIGSTOP');
      const claim = publishing('a');
      const [answer, ms] = await timed(guard.claimPublishing(key, claim));
      expect(answer.outcome).to.equal('unknown');
      expect(ms).to.be.within(200, 1_900);
      expect(await guard.renew(key, claim, 5000)).to.equal('unknown');
      await server.kill('SIGCONT');
      await eventually(async () => expect(await guard.abandon(key, claim)).to.equal('ok'));
      expect(await guard.read(key)).to.include({ owner: undefined, fence: claim.fence });
    });

    it('forgot the scripts is told them again', async () => {
      const server = await own();
      const guard = open(on(server.url));
      await guard.connect(5000);
      const raw = new Redis(server.url);
      const key = freshKey();
      const claim = publishing('a');
      await guard.claimPublishing(freshKey(), publishing('a'));
      await raw.script('FLUSH');
      await raw.quit();
      expect((await guard.claimPublishing(key, claim)).outcome).to.equal('granted');
      const refused = await guard.claimPublishing(key, publishing('b'));
      expect(refused).to.have.nested.property('holder.owner', 'a');
    });

    it('restarts is told of, answered "unavailable" for, and used again', async () => {
      const server = await own();
      const guard = open(on(server.url));
      const told: (string | undefined)[] = [];
      guard.listen({ available: (error) => told.push(error?.name), warn() {} });
      await guard.connect(5000);
      await server.kill('SIGKILL');
      await eventually(() => expect(told).to.deep.equal(['LockUnavailableError']));
      expect((await guard.claimPublishing(freshKey(), publishing('a'))).outcome).to.equal('unavailable');
      await server.restart();
      await eventually(() => expect(told).to.deep.equal(['LockUnavailableError', undefined]));
      expect((await guard.claimPublishing(freshKey(), publishing('a'))).outcome).to.equal('granted');
    });

    it('has no memory left is unavailable: it executed nothing', async () => {
      const { url } = await own(['--maxmemory', '100000']);
      const guard = open(on(url));
      await guard.connect(5000);
      const answer = await guard.claimPublishing(freshKey(), publishing('a'));
      expect(answer).to.have.nested.property('cause.message').that.includes('OOM');
      expect(answer.outcome).to.equal('unavailable');
    });
  });

  it('answers what is under way when it closes, and nothing afterwards', async () => {
    // A fresh node has no script yet: it is asked twice.
    const guard = on((await own()).url);
    await guard.connect(5000);
    // A fresh server is told the script in a second round.
    await guard.claimPublishing(freshKey(), publishing('first'));
    const key = freshKey();
    const last = guard.claimPublishing(key, publishing('a'));
    await guard.close();
    expect((await last).outcome).to.equal('granted');
    const answer = await guard.claimPublishing(key, publishing('b'));
    expect(answer).to.have.property('cause').that.is.instanceOf(ClosedError);
    expect(await failure(guard.connect(100))).to.be.instanceOf(ClosedError);
  });

  it('keeps many keys at once apart', async () => {
    const guard = open(on(testRedisUrl()));
    await guard.connect(5000);
    const claims = Array.from({ length: 300 }, (_, n) => ({ key: freshKey(), claim: publishing(`task-${n}`) }));
    await Promise.all(claims.map(({ key, claim }) => guard.claimPublishing(key, claim)));
    const again = await Promise.all(claims.map(({ key }) => guard.claimPublishing(key, publishing('other'))));
    const owners = again.map((answer) => (answer.outcome === 'held' ? answer.holder.owner : answer.outcome));
    expect(owners).to.deep.equal(claims.map(({ claim }) => claim.owner));
  });
});
