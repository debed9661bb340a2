import { expect } from 'chai';
import { createApp, Key, Task, type App, type Guard, type Transport } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { createRedlockGuard } from '../../lib/guards/redlock.js';
import { createMemoryTransport } from '../../lib/transports/memory.js';
import { Redis } from 'ioredis';
import { eventually } from '../support/eventually.js';
import { fences, freshKey, GRANTED, publishing, running } from '../support/guards.js';
import { startRedis, type Server } from '../support/servers.js';

const RECORD = 'solotask:lock:Loans.recompute:loan:1';

describe('a purge', () => {
  let guard: Guard;
  let transport: Transport;
  let app: App;
  let id: string;

  class Loans {
    @Task({ unique: 'loan:<id>' })
    async recompute(@Key('id') _id: number): Promise<void> {}
  }

  beforeEach(async () => {
    guard = createMemoryGuard({ clock: systemClock });
    transport = createMemoryTransport({ clock: systemClock });
    app = createApp({ broker: transport, locks: guard, services: [Loans] });
    ({ id } = await app.tasks(Loans).recompute(1));
  });
  afterEach(() => app.close());

  const purge = async () => (await app.inspector()).purge('tasks');
  const run = async (claim: { copy: string; lease?: number }): Promise<void> => {
    const fence = fences.next((await guard.read(RECORD))?.fence);
    expect(await guard.claimRunning(RECORD, running(id, { ...claim, fence }))).to.deep.equal(GRANTED);
  };
  const left = { dropped: 0, unreadable: 0, left: 1 };

  it('leaves a message whose key has newer arguments, held as before, for a run has to take them up', async () => {
    const fence = fences.next((await guard.read(RECORD))?.fence);
    const newer = publishing('other', { fence, offer: { args: '[[2],{}]' } });
    expect(await guard.claimPublishing(RECORD, newer)).to.include({ outcome: 'held', offered: true });
    expect(await purge()).to.deep.equal(left);
    expect((await transport.figures('tasks')).ready).to.equal(1);
    const record = await guard.read(RECORD);
    expect(record).to.include({ owner: id, phase: 'queued' });
    expect(record?.args).to.deep.equal({ seq: newer.fence, args: '[[2],{}]' });
  });

  it('leaves a message whose task runs by another copy of it', async () => {
    await run({ copy: 'another' });
    expect(await purge()).to.deep.equal(left);
    expect(await guard.read(RECORD)).to.include({ owner: id, phase: 'running', stop: false });
  });

  it('ends with the error of a message that could not be dropped, and with nothing else', async () => {
    for (let loan = 2; loan <= 100; loan++) await app.enqueue(Loans, 'recompute', [loan]);
    const inspector = await app.inspector();
    let told = 0;
    const purging = inspector.purge('tasks', () => {
      told++;
      throw new Error('the terminal is gone');
    });
    expect(await purging.catch((error: Error) => error.message)).to.equal('the terminal is gone');
    expect(told).to.be.below(100);
    expect((await transport.figures('tasks')).ready).to.equal(100 - told);
  });

  it('stops a run of the same copy, waits out its lease and drops the message then', async () => {
    const pull = await transport.pull('tasks');
    const copy = String((await pull.next())?.frame.headers['copy']);
    await pull.close();
    await run({ copy, lease: 300 });
    const started = performance.now();
    expect(await purge()).to.deep.equal({ dropped: 1, unreadable: 0, left: 0 });
    expect(performance.now() - started).to.be.within(250, 3_000);
    expect((await guard.read(RECORD))?.owner).to.equal(undefined);
  });
});

describe('a purge on three Redis nodes', () => {
  let servers: Server[];
  let raw: Redis[];
  let app: App | undefined;
  let guard: Guard;
  let transport: Transport;

  class Loans {
    @Task({ unique: { key: 'loan:<id>', onDuplicate: 'coalesce' } })
    async recompute(@Key('id') _id: number, _version: number): Promise<void> {}
  }

  before(async () => {
    servers = await Promise.all([startRedis(), startRedis(), startRedis()]);
    raw = servers.map(({ url }) => new Redis(url));
  });
  after(async () => {
    for (const client of raw) client.disconnect();
    await Promise.all(servers.map((server) => server.stop()));
  });
  const onAll = async (has: (client: Redis) => Promise<number>): Promise<void> => {
    for (const client of raw) expect(await has(client)).to.equal(1);
  };
  const prepare = async (): Promise<void> => {
    await Promise.all(raw.map((client) => client.flushall()));
    guard = createRedlockGuard({ nodes: servers.map(({ url }) => url), clock: systemClock });
    transport = createMemoryTransport({ clock: systemClock });
    app = createApp({ broker: transport, locks: guard, services: [Loans] });
    await app.connect();
    // An app is connected when two of them are.
    const probe = freshKey();
    await eventually(async () => {
      await guard.abandon(probe, publishing('probe'));
      await onAll((client) => client.exists(probe));
    });
    await app.tasks(Loans).recompute(1, 1);
    await eventually(() => onAll((client) => client.hexists(RECORD, 'o')), { timeout: 1_000 });
    expect(await app.tasks(Loans).recompute(1, 2)).to.include({ status: 'coalesced' });
    await eventually(() => onAll((client) => client.hexists(RECORD, 'a')), { timeout: 1_000 });
  };

  // Two nodes are enough for every step; on a busy machine the third may miss one, and all begins anew.
  beforeEach(() =>
    eventually(
      async () => {
        await app?.close();
        await prepare();
      },
      { timeout: 15_000 },
    ),
  );
  afterEach(() => app?.close());

  for (const node of [0, 1, 2]) {
    it(`leaves a message whose newer arguments node ${node + 1} alone has forgotten`, async () => {
      await raw[node]!.flushall();
      expect(await (await app!.inspector()).purge('tasks')).to.deep.equal({ dropped: 0, unreadable: 0, left: 1 });
      expect((await transport.figures('tasks')).ready).to.equal(1);
      expect(await guard.read(RECORD)).to.include({ phase: 'queued' });
    });

    it(`leaves one whose newer arguments only node ${node + 1} still has`, async () => {
      for (const other of [0, 1, 2]) if (other !== node) await raw[other]!.hdel(RECORD, 'a');
      expect(await (await app!.inspector()).purge('tasks')).to.deep.equal({ dropped: 0, unreadable: 0, left: 1 });
      expect((await transport.figures('tasks')).ready).to.equal(1);
    });
  }
});
