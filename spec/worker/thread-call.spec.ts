import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { Task, type Delivery } from 'solotask';
import { systemClock, type Timer } from '../../lib/clock.js';
import { Registry } from '../../lib/declarations/registry.js';
import { Signals } from '../../lib/signals.js';
import { readDelivery } from '../../lib/worker/run.js';
import { ThreadCall } from '../../lib/worker/thread-call.js';
import type { Job } from '../../lib/worker/thread-messages.js';
import { eventually } from '../support/eventually.js';

describe('a thread that is being ended', () => {
  class Loans {
    @Task({ name: 'simulate', thread: true })
    async simulate() {}
  }

  it('is not free before it is gone, though its body has ended meanwhile: it would take the next run along', async () => {
    const delivery: Delivery = {
      queue: 'tasks',
      frame: {
        properties: { contentType: 'application/json' },
        headers: { task: 'simulate', id: 'a' },
        body: Buffer.from('[[], {}, {}]'),
      },
      redelivered: false,
      stale: false,
      ack: () => 'settled',
      requeue: () => 'settled',
      flushed: async () => {},
    };
    const run = readDelivery(delivery, new Registry([Loans]), 'spec');
    const fires: (() => void)[] = [];
    const clock = {
      ...systemClock,
      after: (_ms: number, fire: () => void): Timer => {
        fires.push(fire);
        return { cancel: () => undefined };
      },
    };
    const order: string[] = [];
    const thread = Object.assign(new EventEmitter(), { terminate: () => order.push('told to end') });
    const signals = new Signals();
    signals.on('task:log', () => order.push('heard'));
    const jobs: Job[] = [];
    let answer = (): void => {};
    const post = (given: Job): Promise<void> => {
      jobs.push(given);
      return new Promise((resolve) => (answer = resolve));
    };
    const parts = { clock, signals, post, find: () => thread as EventEmitter as Worker };
    const ending = new ThreadCall(run, parts, () => undefined).ending(false, undefined).then(() => order.push('free'));
    const say = (message: object): void => jobs[0]?.port.postMessage(message);
    const log = { kind: 'event', event: 'task:log', payload: {} };
    say({ kind: 'hello', thread: 1 });
    say(log);
    await eventually(() => expect(order).to.deep.equal(['heard']));
    run.abort(new Error('the worker stops'));
    fires.at(-1)?.();
    say({ kind: 'ended', error: undefined, value: undefined, final: false });
    say(log);
    await eventually(() => expect(order).to.deep.equal(['heard', 'told to end', 'heard']));
    answer();
    await new Promise((resolve) => setImmediate(resolve));
    order.push('gone');
    thread.emit('exit', 1);
    await ending;
    expect(order).to.deep.equal(['heard', 'told to end', 'heard', 'gone', 'free']);
    jobs[0]?.port.close();
  });
});
