import { expect } from 'chai';
import { Task, ThreadCrashedError } from 'solotask';
import { encode } from '../../lib/celery-protocol.js';
import { systemClock, type Timer } from '../../lib/clock.js';
import { Registry } from '../../lib/declarations/registry.js';
import { Signals } from '../../lib/signals.js';
import { readDelivery, type Run } from '../../lib/worker/run.js';
import { ThreadPool } from '../../lib/worker/thread-pool.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';

class Loans {
  @Task({ name: 'loans.simulate', thread: true })
  async simulate() {}
}

function simulation(): Run {
  const rest = {
    rootId: undefined,
    parentId: undefined,
    headers: {},
    kwargs: {},
    priority: undefined,
    lock: undefined,
  };
  const frame = encode({ id: 'a', task: 'loans.simulate', attempt: 1, enqueuedAt: 0, args: [], ...rest }, '1@here');
  const settle = () => 'settled' as const;
  const delivery = { queue: 'tasks', frame, redelivered: false, stale: false, ack: settle, requeue: settle };
  return readDelivery({ ...delivery, flushed: async () => {} }, new Registry([Loans]), 'spec');
}

describe('the threads of a worker', () => {
  const timers = new Set<{ readonly ms: number; readonly fire: () => void }>();
  let closing = false;
  const clock = {
    ...systemClock,
    after: (ms: number, fire: () => void): Timer => {
      if (closing) return systemClock.after(ms, fire);
      const timer = { ms, fire };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
  };
  /** The timer of so many ms has come. */
  const pass = (ms: number): Promise<void> =>
    eventually(() => {
      const timer = [...timers].find((one) => one.ms === ms);
      if (timer === undefined) throw new Error(`nobody waits for ${ms} ms`);
      timers.delete(timer);
      timer.fire();
    });
  const APP = new URL('../../lib/app/thread.js', import.meta.url);
  const fixture = (name: string): URL => new URL(`./fixtures/${name}.js`, import.meta.url);

  const pools: ThreadPool[] = [];
  beforeEach(() => (closing = false));
  afterEach(async () => {
    closing = true;
    timers.clear();
    await Promise.all(pools.splice(0).map((pool) => pool.close()));
  });
  const open = (entry: URL, module = 'none'): ThreadPool => {
    const data = { solotask: true, module, broker: undefined, locks: undefined } as const;
    const parts = { clock, signals: new Signals(), results: undefined, draining: new AbortController().signal };
    const pool = new ThreadPool(parts, { entry, data, size: 1, memory: undefined });
    pools.push(pool);
    return pool;
  };
  const call = async (pool: ThreadPool, run: Run, began?: () => void): Promise<Error | undefined> => {
    expect(await pool.take(run)).to.equal(true);
    return (await pool.call(run, began ?? (() => expect.fail('it began')))).error;
  };

  it('are waited for no longer than five minutes, as a seat is: the broker waits for an acknowledgement meanwhile', async () => {
    const pool = open(APP);
    const [first, second, third] = [simulation(), simulation(), simulation()];
    expect(await pool.take(first)).to.equal(true);
    const gaveUp = pool.take(second);
    await pass(300_000);
    expect(await gaveUp).to.equal(false);
    const taken = pool.take(third);
    pool.leave();
    expect(await taken).to.equal(true);
    pool.leave();
  });

  // Client rule 8
  it('are ended with a body that computes on for a second after its signal', async () => {
    const run = simulation();
    const reason = new Error('the worker stops');
    const began = new Gate();
    const ending = call(open(APP, fixture('spinning').href), run, () => began.open());
    await began.pass();
    run.abort(reason);
    await pass(1_000);
    expect(await ending).to.equal(reason);
  }).timeout(20_000);

  it('have a minute to load the app; then one is ended, and its task fails', async () => {
    const pool = open(APP, fixture('never-loads').href);
    const failing = call(pool, simulation());
    await pass(60_000);
    // Its hello may not be here yet: then it is ended at the hello.
    const error = await failing;
    expect(error).to.be.instanceOf(ThreadCrashedError);
    expect(error).to.have.nested.property('data.reason', 'load');
  }).timeout(20_000);

  it('that die as they start fail their tasks, and the next one is tried again', async () => {
    const pool = open(fixture('dies-at-start'));
    for (const run of [simulation(), simulation()]) {
      const failing = call(pool, run);
      await pass(60_000);
      await pass(50);
      expect(await failing).to.have.nested.property('data.reason', 'load');
    }
  }).timeout(20_000);

  it('give a task back that is aborted meanwhile', async () => {
    const run = simulation();
    const failing = call(open(fixture('dies-at-start')), run);
    const reason = new Error('the worker stops');
    run.abort(reason);
    await pass(1_000);
    await pass(50);
    expect(await failing).to.equal(reason);
  }).timeout(20_000);
});
