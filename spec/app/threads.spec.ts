import { expect } from 'chai';
import { isMainThread } from 'node:worker_threads';
import { ConfigError, createApp, Task, taskContext, type ThreadOptions } from 'solotask';
import { testApp } from 'solotask/testing';
import { thrownBy } from '../support/declare.js';

const HERE = new URL(import.meta.url);

class Loans {
  static readonly seen: boolean[] = [];

  @Task({ name: 'loans.simulate', thread: true, queue: 'heavy' })
  async simulate(): Promise<void> {
    Loans.seen.push(isMainThread, taskContext().signal.aborted);
  }

  @Task({ queue: 'light' })
  async recompute(): Promise<void> {}
}

const memory = { broker: 'memory:', locks: 'memory:', services: [Loans] };

describe('threads of app.worker()', () => {
  it('have to know the module that exports the app, when a task of the queues wants one', async () => {
    await using app = createApp(memory);
    const error = thrownBy(() => app.worker());
    expect(error).to.be.instanceOf(ConfigError);
    expect(error.message).to.contain('loans.simulate has thread: true');
    expect(error.message).to.contain("app.worker({ threads: { module: new URL('./app.js', import.meta.url) } })");
    expect(() => app.worker({ queues: ['light'] })).not.to.throw();
    for (const module of [HERE, HERE.href, HERE.pathname])
      expect(() => app.worker({ threads: { module } })).not.to.throw();
  });

  const wrong: [unknown, RegExp][] = [
    [{ module: new URL('./nowhere.js', HERE) }, /there is no file:.*nowhere\.js; name the module that exports the app/],
    [{ module: 5 }, /threads\.module of a worker is 5/],
    [{ module: 'https://example.org/app.js' }, /threads\.module of a worker/],
    [{ module: HERE, size: 0 }, /threads\.size of a worker is 0/],
    [{ module: HERE, memory: 1 }, /threads\.memory of a worker is 1/],
    [{ modul: HERE }, /no option 'modul'; did you mean 'module'\?/],
    [5, /threads of a worker is 5/],
  ];
  for (const [threads, text] of wrong) {
    it(`refuse ${JSON.stringify(threads)}`, async () => {
      await using app = createApp(memory);
      expect(() => app.worker({ threads: threads as ThreadOptions })).to.throw(ConfigError, text);
    });
  }

  it('do not start workers of their own: a module that does so is refused there', async () => {
    const { default: app, Loans: Service } = await import('./fixtures/self-starting.js');
    const result = (await app.tasks(Service).simulate()).result({ timeout: '20s' });
    const error = await result.then(() => undefined, String);
    expect(error).to.contain('starts a worker as it is loaded');
    await app.close();
  }).timeout(30_000);

  it('are not made by testApp: the body runs on the main thread, where the test has its objects', async () => {
    const app = testApp(memory);
    await app.tasks(Loans).simulate();
    expect(await app.drain()).to.include({ succeeded: 1 });
    expect(Loans.seen).to.deep.equal([true, false]);
    await app.close();
  });
});
