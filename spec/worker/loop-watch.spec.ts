import { expect } from 'chai';
import { Task, type TaskEvents } from 'solotask';
import { encode } from '../../lib/celery-protocol.js';
import { systemClock, type Timer } from '../../lib/clock.js';
import { Registry } from '../../lib/declarations/registry.js';
import { Signals } from '../../lib/signals.js';
import { LoopWatch } from '../../lib/worker/loop-watch.js';
import { readDelivery, type Run } from '../../lib/worker/run.js';

class Loans {
  @Task()
  async sum() {}

  @Task({ thread: true })
  async simulate() {}
}

const registry = new Registry([Loans]);

function begun(task: string): Run {
  const rest = {
    rootId: undefined,
    parentId: undefined,
    headers: {},
    kwargs: {},
    priority: undefined,
    lock: undefined,
  };
  const frame = encode({ id: 'a', task, attempt: 1, enqueuedAt: 0, args: [], ...rest }, '1@here');
  const settle = () => 'settled' as const;
  const delivery = { queue: 'tasks', frame, redelivered: false, stale: false, ack: settle, requeue: settle };
  const run = readDelivery({ ...delivery, flushed: async () => {} }, registry, 'spec');
  run.begin(0);
  return run;
}

describe('the watch of a loop, with a heartbeat of 2 s', () => {
  let time: number;
  let timer: { at: number; fire: () => void } | undefined;
  let runs: Run[];
  let told: TaskEvents['loop:blocked'][];
  const clock = {
    ...systemClock,
    monotonic: () => time,
    after: (ms: number, fire: () => void): Timer => {
      timer = { at: time + ms, fire };
      return { cancel: () => (timer = undefined) };
    },
  };
  const watch = (heartbeat?: number): LoopWatch | undefined => {
    const signals = new Signals();
    signals.on('loop:blocked', (event) => told.push(event));
    return LoopWatch.of({ clock, signals, transport: heartbeat === undefined ? {} : { heartbeat } }, () => runs);
  };
  /** The loop turns until then. */
  const turn = (to: number): void => {
    while (timer !== undefined && timer.at <= to) {
      time = timer.at;
      timer.fire();
    }
    time = to;
  };
  /** It stands still until then: what is due comes late. */
  const stand = (to: number): void => {
    time = to;
    timer?.fire();
  };

  beforeEach(() => {
    [time, timer, runs, told] = [0, undefined, [], []];
    watch(2_000)?.start();
  });

  it('says nothing while the loop turns, however long a body takes', () => {
    runs.push(begun('Loans.sum'));
    turn(60_000);
    expect(told).to.deep.equal([]);
  });

  it('says nothing of half a heartbeat', () => {
    runs.push(begun('Loans.sum'));
    turn(10_000);
    stand(time + 1_000);
    expect(told).to.deep.equal([]);
  });

  it('tells of more than that, for how long, and which bodies are under way on the main thread', () => {
    runs.push(begun('Loans.sum'), begun('Loans.sum'), begun('Loans.simulate'));
    turn(10_000);
    stand(time + 5_250);
    expect(told).to.deep.equal([{ seconds: 5, tasks: ['Loans.sum'] }]);
    turn(60_000);
    expect(told).to.have.length(1);
  });

  it('names a body that is over by the next look', () => {
    const own = watch(2_000);
    own?.start();
    own?.entered('Loans.sum');
    stand(time + 3_000);
    own?.entered('Loans.simulate');
    turn(time + 1_000);
    stand(time + 3_000);
    expect(told.map(({ tasks }) => tasks)).to.deep.equal([['Loans.sum'], []]);
  });

  it('ends with its worker, and is not there for a broker without heartbeats', () => {
    const own = watch(2_000);
    own?.start();
    own?.stop();
    expect(timer).to.equal(undefined);
    expect(watch()).to.equal(undefined);
  });
});
