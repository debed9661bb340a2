import { expect } from 'chai';
import type { App, AppWorker, EventName, TaskEvents, TaskFailedError, ThreadOptions } from 'solotask';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import type { Heavy as HeavyClass, HeavyPlace, Rate } from './fixtures/heavy.js';

const FIXTURE = new URL('./fixtures/heavy.js', import.meta.url);
const NAMESPACE = uniqueName('threads');
let copies = 0;

/** One app, its threads' module, and what it told. */
interface Play {
  readonly app: App;
  readonly Heavy: typeof HeavyClass;
  readonly worker: AppWorker;
  readonly told: { readonly event: EventName; readonly payload: Readonly<Record<string, unknown>> }[];
  readonly rate: Rate;
}

const EVENTS: EventName[] = ['task:started', 'task:succeeded', 'task:failed', 'task:dead', 'task:retried'];
EVENTS.push('task:overdue', 'task:log', 'task:progress', 'task:enqueued', 'lock:waiting');
EVENTS.push('thread:crashed', 'loop:blocked', 'broker:disconnected');

describe('a task with thread: true', () => {
  const plays: Play[] = [];
  afterEach(async () => {
    for (const { app, worker } of plays.splice(0)) {
      await worker.stop({ timeout: 0 });
      await app.close();
    }
  });

  const play = async (place: Partial<HeavyPlace> = {}, threads: ThreadOptions = {}, concurrency = 2): Promise<Play> => {
    const links = { broker: testAmqpUrl(), locks: testRedisUrl(), namespace: NAMESPACE };
    process.env['HEAVY'] = JSON.stringify({ ...links, queue: uniqueName('queue'), ...place });
    const module = `${FIXTURE.href}?${++copies}`;
    const { default: app, Heavy, Rate: RateClass } = (await import(module)) as typeof import('./fixtures/heavy.js');
    const worker = app.worker({ concurrency, threads: { module, size: 2, ...threads } });
    const told: Play['told'] = [];
    for (const event of EVENTS) app.on(event, (payload) => told.push({ event, payload: { ...payload } }));
    await worker.start();
    const made = { app, Heavy, worker, told, rate: Object.assign(new RateClass(), { percent: 4 }) };
    plays.push(made);
    return made;
  };

  const hears = <E extends EventName>({ told }: Play, event: E, times = 1): Promise<TaskEvents[E][]> =>
    eventually(
      () => {
        const heard = told.filter((one) => one.event === event).map(({ payload }) => payload as never as TaskEvents[E]);
        if (heard.length < times) throw new Error(`${heard.length} of ${times} ${event}`);
        return heard;
      },
      { timeout: 15_000 },
    );
  const failure = async (result: Promise<unknown>): Promise<TaskFailedError> =>
    result.then(
      () => expect.fail('it succeeded'),
      (error: unknown) => error as TaskFailedError,
    );
  const wait = { timeout: '20s' } as const;

  it('runs its body in a thread, with context, container, validated payload and a JSON result', async () => {
    const one = await play();
    const receipt = await one.app.tasks(one.Heavy).look(7, one.rate, new Date('2026-11-21T12:00:00Z'));
    const seen = (await receipt.result(wait)) as Record<string, unknown>;
    const { id } = receipt;
    const about = { id, task: 'Heavy.look', key: 'look:7', attempt: 1 };
    const others = { rerun: 0, redelivered: false, aborted: false, made: 'by the container', isMainThread: false };
    expect(seen).to.deep.include({ ...about, ...others, args: { id: 7, double: 8, year: 2026 } });
    expect(Date.parse(String(seen['enqueuedAt']))).to.be.closeTo(Date.now(), 60_000);
    const [started] = await hears(one, 'task:started');
    expect(seen['fence']).to.be.above(0).and.equal(started?.fence);
    const [line] = await hears(one, 'task:log');
    expect(line).to.include({ ...about, level: 'info', message: 'looking' });
    expect(line?.data as unknown)
      .to.be.a('string')
      .that.contains('id: 7');
    expect((await hears(one, 'task:progress'))[0]).to.include({ ...about, done: 1, total: 2 });
  }).timeout(30_000);

  it('enqueues from inside through an app of the thread, whose events are told on the main thread', async () => {
    const one = await play();
    const { first, status, again } = (await (await one.app.tasks(one.Heavy).ask(5)).result(wait)) as Record<
      string,
      string
    >;
    expect({ status, again: ['discarded', 'enqueued'].includes(again ?? '') }).to.deep.equal({
      status: 'enqueued',
      again: true,
    });
    const ids = (await hears(one, 'task:enqueued', 2)).map(({ id }) => id);
    expect(ids).to.include(first);
    await eventually(() => {
      const ended = one.told.filter(({ event }) => event === 'task:succeeded').map(({ payload }) => payload['id']);
      expect(ended).to.include(first);
    });
  }).timeout(30_000);

  it('keeps what its errors say: a wish for a retry, a rejection, a class, a code, a cause', async () => {
    const one = await play();
    const stub = one.app.tasks(one.Heavy);
    expect(await (await stub.fail('retry')).result(wait)).to.equal(2);
    expect((await hears(one, 'task:retried'))[0]).to.include({ delay: 10 });
    const rejected = await failure((await stub.fail('reject')).result(wait));
    expect(rejected.data).to.include({ code: 'REJECTED' });
    const own = await failure((await stub.fail('own')).result(wait));
    expect(own.message).to.equal('too much');
    expect(own.data).to.include({ type: 'RangeError', code: 'E_RATE' });
    expect(own.remoteStack).to.match(/at Heavy\.fail .*heavy/);
    const unkept = await failure((await stub.fail('result')).result(wait));
    expect(unkept.data).to.include({ code: 'PAYLOAD' });
    const dead = await hears(one, 'task:dead', 3);
    expect(dead.map(({ code, attempt }) => [code, attempt])).to.deep.equal([
      ['REJECTED', 1],
      ['FAILED', 2],
      ['PAYLOAD', 1],
    ]);
    expect(dead[1]?.error.cause).to.have.property('message', 'the root');
  }).timeout(30_000);

  for (const [how, what, reason] of [
    ['exit', 'was ended by process.exit(3)', 'exit'],
    ['throw', 'threw where nobody catches: thrown at nobody', 'uncaught'],
    ['memory', 'ran out of memory', 'memory'],
  ] as const) {
    it(`fails alone when its thread dies (${how}); others go on, and the worker too`, async () => {
      const one = await play({}, { memory: 48 }, 3);
      const stub = one.app.tasks(one.Heavy);
      const neighbour = await stub.spin(1, 4_000);
      await hears(one, 'task:log');
      const receipt = await stub.crash(how);
      const error = await failure(receipt.result({ timeout: '30s' }));
      expect(error.message).to.contain(what);
      expect(error.data).to.include({ type: 'ThreadCrashedError', code: 'THREAD_CRASHED' });
      expect((await hears(one, 'task:dead'))[0]).to.include({ id: receipt.id, code: 'THREAD_CRASHED', attempt: 2 });
      expect((await hears(one, 'task:failed', 2))[0]?.error).to.have.nested.property('data.reason', reason);
      expect(await neighbour.result(wait)).to.equal(1);
      expect(await (await stub.spin(2, 1)).result(wait)).to.equal(1);
      // The key of the dead task is free.
      expect((await stub.crash(how)).status).to.equal('enqueued');
    }).timeout(60_000);
  }

  it('tells of a thread that dies between two tasks, and gives the next one another', async () => {
    const one = await play({}, { size: 1 });
    const stub = one.app.tasks(one.Heavy);
    await (await stub.crash('later')).result(wait);
    expect((await hears(one, 'thread:crashed'))[0]?.error.message).to.equal('left behind');
    expect(await (await stub.spin(1, 1)).result(wait)).to.equal(1);
  }).timeout(30_000);

  it('runs one task in a thread at a time, and no more at once than there are threads', async () => {
    const one = await play({}, { size: 1 }, 4);
    const stub = one.app.tasks(one.Heavy);
    const receipts = await Promise.all([1, 2, 3].map(() => stub.thread(50)));
    const threads = await Promise.all(receipts.map((receipt) => receipt.result(wait)));
    expect(new Set(threads)).to.have.property('size', 1);
  }).timeout(30_000);

  it('is ended with its thread when it goes on after its time limit, and fails by the retry policy', async () => {
    const one = await play();
    const receipt = await one.app.tasks(one.Heavy).limited(1, 'spin');
    const error = await failure(receipt.result({ timeout: '30s' }));
    expect(error.data).to.include({ type: 'TimeLimitError', code: 'TIME_LIMIT' });
    const failed = await hears(one, 'task:failed', 2);
    for (const { seconds } of failed) expect(seconds).to.be.above(1.4).and.below(50);
    expect((await hears(one, 'task:dead'))[0]).to.include({ code: 'TIME_LIMIT', attempt: 2 });
    expect(one.told.filter(({ event }) => event === 'task:overdue')).to.deep.equal([]);
    expect((await one.app.tasks(one.Heavy).limited(1, 'quick')).status).to.equal('enqueued');
  }).timeout(60_000);

  it('may end by itself when its signal fires at the time limit', async () => {
    const one = await play({}, { size: 1 });
    const receipt = await one.app.tasks(one.Heavy).limited(2, 'heed');
    expect((await failure(receipt.result({ timeout: '30s' }))).data).to.include({ code: 'TIME_LIMIT' });
    const lines = (await hears(one, 'task:log', 4)).map(({ message, data }) => [message, data]);
    expect(lines).to.deep.include(['heard', { code: 'TIME_LIMIT', id: 2 }]);
    const after = await one.app.tasks(one.Heavy).limited(2, 'quick');
    expect(await after.result(wait)).to.equal(1);
  }).timeout(60_000);

  for (const how of ['heed', 'spin'] as const) {
    it(`is aborted by a stop, ended after the grace, and frees its key at once (${how})`, async () => {
      const one = await play();
      const { id } = await one.app.tasks(one.Heavy).hold(1, how);
      await hears(one, 'task:log');
      const begin = performance.now();
      expect(await one.worker.stop({ timeout: 0 })).to.deep.equal({ aborted: 1 });
      // Its body computes for a minute.
      expect(performance.now() - begin).to.be.below(30_000);
      if (how === 'heed')
        expect((await hears(one, 'task:log', 2))[1]).to.deep.include({ data: { code: 'WORKER_STOPPED' } });
      expect(one.told.filter(({ event }) => event === 'task:overdue')).to.deep.equal([]);
      const next = one.app.worker({ threads: { module: FIXTURE } });
      await next.start();
      const started = await hears(one, 'task:started', 2);
      expect(started[1]).to.include({ id, redelivered: true, attempt: 1 });
      expect(one.told.filter(({ event }) => event === 'lock:waiting')).to.deep.equal([]);
      await next.stop({ timeout: 0 });
    }).timeout(30_000);
  }

  it('hears by its signal that its key is lost, and goes back', async () => {
    const one = await play();
    const { id } = await one.app.tasks(one.Heavy).hold(1, 'heed');
    await hears(one, 'task:log');
    const { locks } = await one.app.inspector();
    const holder = await locks.show('Heavy.hold hold:1');
    if (holder === undefined) throw new Error('nobody holds the key');
    expect(await locks.remove(holder)).to.equal('removed');
    expect((await hears(one, 'task:log', 2))[1]).to.deep.include({ data: { code: 'LEASE_LOST' } });
    expect((await hears(one, 'task:failed'))[0]?.error).to.have.property('code', 'LEASE_LOST');
    expect((await hears(one, 'task:started', 2))[1]).to.include({ id, redelivered: true, attempt: 1 });
  }).timeout(30_000);

  // wire.md: computation in a worker thread
  it('keeps heartbeats and renewals alive: 10 s of computation with a heartbeat of 2 s are one run', async () => {
    const one = await play({ broker: `${testAmqpUrl()}?heartbeat=2` });
    const receipt = await one.app.tasks(one.Heavy).spin(1, 10_000);
    expect(await receipt.result({ timeout: '40s' })).to.equal(1);
    expect(one.told.filter(({ event }) => event === 'task:started')).to.have.length(1);
    expect(one.told.filter(({ event }) => event === 'broker:disconnected')).to.deep.equal([]);
  }).timeout(60_000);

  it('runs on memory parts, from where it cannot enqueue, and says so', async () => {
    const one = await play({ broker: 'memory:', locks: 'memory:' });
    const stub = one.app.tasks(one.Heavy);
    expect(await (await stub.spin(1, 1)).result(wait)).to.equal(1);
    const error = await failure((await stub.ask(1)).result(wait));
    expect(error.message).to.contain("cannot enqueue on 'memory:'");
    expect(error.data).to.include({ code: 'CONFIG' });
  }).timeout(30_000);
});
