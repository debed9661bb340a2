import { expect } from 'chai';
import { createApp, Task, type WorkerOptions } from 'solotask';
import { thrownBy } from '../support/declare.js';

class Loans {
  @Task({ queue: 'fast' }) async one() {}
  @Task({ queue: 'slow' }) async two() {}
  @Task({ queue: 'other' }) async three() {}
}
const app = createApp({ broker: 'memory:', locks: 'memory:', services: [Loans] });

describe('the settings of a worker', () => {
  it('are every queue of the app, ten bodies at once, and ten more deliveries of each queue', () => {
    const queues = ['fast', 'slow', 'other'];
    const lanes = [{ queues, concurrency: 10, prefetch: 20 }];
    const { settings } = app.worker();
    expect(settings).to.deep.equal({ queues, concurrency: 10, lanes, maxTasks: Infinity, taskEvents: false });
    expect(app.worker({ queues: ['slow', 'slow'] }).settings.queues).to.deep.equal(['slow']);
  });

  it('give a queue with a number bodies of its own, and those without one the rest to share', () => {
    const { settings } = app.worker({ queues: { fast: 20, slow: 2, other: true, more: true }, concurrency: 5 });
    expect(settings.concurrency).to.equal(27);
    expect(settings.queues).to.deep.equal(['fast', 'slow', 'other', 'more']);
    expect(settings.lanes).to.deep.equal([
      { queues: ['fast'], concurrency: 20, prefetch: 30 },
      { queues: ['slow'], concurrency: 2, prefetch: 12 },
      { queues: ['other', 'more'], concurrency: 5, prefetch: 15 },
    ]);
    expect(app.worker({ queues: { slow: 2 }, prefetch: 2 }).settings).to.deep.include({
      concurrency: 2,
      lanes: [{ queues: ['slow'], concurrency: 2, prefetch: 2 }],
    });
  });

  it('are refused with what they take', () => {
    const wrong: [object, RegExp][] = [
      [{ queues: [] }, /at least one queue/],
      [{ queues: {} }, /at least one queue/],
      [{ queues: 'fast' }, /an array of names/],
      [{ queues: ['amq.x'] }, /amq\./],
      [{ queues: { fast: 0 } }, /queue 'fast' of a worker is 0; it takes a whole number from 1/],
      [{ queues: { fast: false } }, /queue 'fast' of a worker is false/],
      [{ queues: { fast: 20 }, prefetch: 19 }, /prefetch of a worker is 19; it takes a whole number from 20/],
      [{ maxTasks: 0 }, /maxTasks of a worker is 0/],
      [{ taskEvents: 'yes' }, /taskEvents of a worker is 'yes'; it takes true or false/],
      [{ once: true }, /no option 'once'.*maxTasks/],
    ];
    for (const [options, text] of wrong) {
      expect(
        thrownBy(() => app.worker(options as WorkerOptions)),
        String(text),
      )
        .to.have.property('message')
        .that.matches(text);
    }
  });
});
