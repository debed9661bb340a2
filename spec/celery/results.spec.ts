import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createApp, RejectTask, Task, TaskFailedError, type App } from 'solotask';
import { CeleryPeer, CeleryWorker, PythonError } from '../support/celery.js';
import { eventually } from '../support/eventually.js';
import { Gate } from '../support/gate.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

interface Shown {
  readonly state: string;
  readonly traceback: string | null;
  readonly result: string;
}

class LoanError extends Error {
  override name = 'LoanError';
}

/** What our task returns, and what Python gets. */
const VALUES: readonly (readonly [what: string, value: unknown, got: unknown])[] = [
  ['a number', 42.5, 42.5],
  ['a text', 'ü 😀 \u0000', 'ü 😀 \u0000'],
  ['null', null, null],
  ['nothing', undefined, null],
  ['true', true, true],
  ['a list', [1, [2, undefined]], [1, [2, null]]],
  ['an object with a date', { at: new Date(0), note: undefined }, { at: '1970-01-01T00:00:00.000Z' }],
  ['half of a surrogate pair', '\ud800', '\ud800'],
  ['half a megabyte', 'x'.repeat(500_000), 'x'.repeat(500_000)],
];

describe('results, of our runs and of Celery’s', () => {
  const [ours, celerys] = [uniqueName('queue'), uniqueName('celery')];
  const peer = new CeleryPeer({ queue: ours });
  const worker = new CeleryWorker({ queue: celerys });
  const redis = new Redis(testRedisUrl());
  let gate = new Gate();
  let app: App;

  class Loans {
    @Task({ name: 'ours.value', queue: ours })
    async value(which: number) {
      return VALUES[which]?.[1];
    }
    @Task({ name: 'ours.fails', queue: ours, retry: { attempts: 2, delay: 1, jitter: false } })
    async fails() {
      throw new LoanError('no such loan: 42');
    }
    @Task({ name: 'ours.rejects', queue: ours })
    async rejects() {
      throw new RejectTask('never again');
    }
    @Task({ name: 'ours.waits', queue: ours })
    async waits() {
      await gate.pass();
      return 'late';
    }
    @Task({ name: 'ours.unique', queue: ours, unique: { key: 'loan', onDuplicate: 'discard' } })
    async unique() {
      await gate.pass();
      return 'once';
    }
  }

  before(async () => {
    const links = { broker: testAmqpUrl(), locks: testRedisUrl(), results: true, namespace: 'celery-specs' };
    app = createApp({ ...links, services: [Loans] });
    await Promise.all([app.worker().start(), worker.ready(), peer.ask('borrow', { queue: ours })]);
  });
  after(async () => {
    redis.disconnect();
    await Promise.all([app.close(), peer.close(), worker.end()]);
  });
  beforeEach(() => (gate = new Gate()));

  const call = (task: string, args: readonly unknown[] = [], options = {}): Promise<string> =>
    peer.ask<string>('send', { task, args, options });
  const stateOf = (id: string): Promise<Shown> => peer.ask<Shown>('state', { id });
  const raised = async (id: string): Promise<PythonError> => {
    const error: unknown = await peer.ask('get', { id }).catch((thrown: unknown) => thrown);
    if (!(error instanceof PythonError)) throw new Error(`it raised nothing: ${String(error)}`);
    return error;
  };
  const failureOf = async (receipt: { result(o: object): Promise<unknown> }): Promise<TaskFailedError> => {
    const error: unknown = await receipt.result({ timeout: '10s' }).catch((thrown: unknown) => thrown);
    if (!(error instanceof TaskFailedError)) throw new Error(`it did not fail: ${String(error)}`);
    return error;
  };

  for (const [which, [what, , got]] of VALUES.entries()) {
    it(`give Python ${what} that our run returned`, async () => {
      const id = await call('ours.value', [which]);
      expect(await peer.ask('get', { id })).to.deep.equal(got);
      expect(await stateOf(id)).to.include({ state: 'SUCCESS', traceback: null });
    });
  }

  it('give Python who waited before the run what came later', async () => {
    const id = await call('ours.waits');
    const waiting = peer.ask('get', { id });
    gate.open();
    expect(await waiting).to.equal('late');
  });

  it('raise in Python what our run threw: its type, its text, and where it was', async () => {
    const id = await call('ours.fails');
    expect(await raised(id)).to.include({ type: 'LoanError', message: 'no such loan: 42' });
    const { state, traceback } = await stateOf(id);
    expect(state).to.equal('FAILURE');
    expect(traceback).to.contain('LoanError: no such loan: 42').and.contain('results.spec');
  });

  it('raise in Python what a run was rejected for, and what became of a task that nobody has', async () => {
    expect(await raised(await call('ours.rejects'))).to.have.property('message', 'never again');
    expect(await raised(await call('ours.nobody')))
      .to.have.property('message')
      .that.contains('ours.nobody');
  });

  it('say REVOKED to Python of a task that expired', async () => {
    const id = await call('ours.value', [0], { expires: -1 });
    const error = await raised(id);
    expect(error).to.include({ type: 'TaskRevokedError', module: 'celery.exceptions' });
    expect(error.message).to.contain('expired');
    expect(await stateOf(id)).to.include({ state: 'REVOKED' });
  });

  it('say REVOKED to Python of a duplicate, and whose it is', async () => {
    const first = await call('ours.unique');
    await eventually(() => expect(gate.arrivals).to.equal(1));
    const error = await raised(await call('ours.unique'));
    expect(error).to.include({ type: 'TaskRevokedError', message: `duplicate of ${first}` });
    gate.open();
    expect(await peer.ask('get', { id: first })).to.equal('once');
  });

  it('leave nothing of a task that asked for no result', async () => {
    const id = await call('ours.value', [0], { ignore_result: true });
    const next = await call('ours.value', [0]);
    await peer.ask('get', { id: next });
    expect(await stateOf(id)).to.include({ state: 'PENDING' });
    expect(await redis.exists(`celery-task-meta-${id}`)).to.equal(0);
  });

  it('have a time in them that Python reads', async () => {
    const id = await call('ours.value', [0]);
    await peer.ask('get', { id });
    const { date, children } = await peer.ask<{ date: string; children: unknown[] }>('details', { id });
    expect(Math.abs(Date.parse(date) - Date.now())).to.be.below(60_000);
    expect(children).to.deep.equal([]);
  });

  it('give us what a Celery run returned, whether it is asked before or after', async () => {
    const receipt = await app.send('spec.echo', { queue: celerys, args: [1, 'ü'], kwargs: { a: null } });
    const got = { args: [1, 'ü'], kwargs: { a: null } };
    expect(await receipt.result({ timeout: '10s' })).to.deep.equal(got);
    expect(await receipt.result({ timeout: '1s' })).to.deep.equal(got);
  });

  it('give us what a Celery run raised: its type, its text, its traceback', async () => {
    const failure = await failureOf(await app.send('spec.fail', { queue: celerys, args: ['no such loan'] }));
    expect(failure).to.include({ code: 'TASK_FAILED', message: 'no such loan' });
    expect(failure.data).to.include({ type: 'ValueError' });
    expect(String((failure.cause as Error | undefined)?.stack)).to.contain('tasks.py');
  });

  it('give us the arguments of an exception that has several, or none', async () => {
    const several = await failureOf(await app.send('spec.fail', { queue: celerys, args: ['a', 1, [2]] }));
    expect(several.message).to.equal('a, 1, [2]');
    expect(await failureOf(await app.send('spec.fail', { queue: celerys }))).to.have.property('message', '');
  });

  it('wait through the retries of a Celery run', async () => {
    const receipt = await app.send('spec.again', { queue: celerys });
    expect(await receipt.result({ timeout: '10s' })).to.equal(3);
  });

  it('tell us of a task that Celery’s workers were told to withdraw', async () => {
    const id = uniqueName('id');
    await peer.ask('revoke', { id });
    await eventually(async () => {
      const revoked = await peer.ask<Record<string, string[]> | null>('inspect', { what: 'revoked', timeout: 1 });
      expect(Object.values(revoked ?? {}).flat()).to.include(id);
    });
    const failure = await failureOf(await app.send('spec.echo', { queue: celerys, id }));
    expect(failure.data).to.include({ type: 'TaskRevokedError' });
  });

  it('time out for a task that nobody runs', async () => {
    const receipt = await app.send('spec.echo', { queue: celerys, delay: '1h' });
    const late: unknown = await receipt.result({ timeout: '100ms' }).catch((error: unknown) => error);
    expect(late).to.have.property('code', 'RESULT_TIMEOUT');
  });
});
