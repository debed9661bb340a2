import { expect } from 'chai';
import { readCommandLine, type Wish } from '../../lib/cli/command-line.js';
import { toError } from '../../lib/errors.js';
import { taskWorker } from './task-worker-process.js';

const read = (...args: string[]): Wish => readCommandLine(args, '1.2.3');

function refusal(...args: string[]): Error {
  try {
    read(...args);
  } catch (thrown) {
    return toError(thrown);
  }
  throw new Error(`${args.join(' ')} was accepted`);
}

describe('the command line of task-worker', () => {
  const saved = { ...process.env };
  afterEach(() => {
    // Not another object: threads that later specs start are given the real one.
    for (const name of Object.keys(process.env)) if (!(name in saved)) delete process.env[name];
    Object.assign(process.env, saved);
  });

  it('runs by default, with the documented defaults', () => {
    expect(read('-a', 'app.js')).to.deep.equal({
      command: 'run',
      options: {
        app: 'app.js',
        queues: undefined,
        excludeQueues: undefined,
        concurrency: undefined,
        prefetch: undefined,
        once: false,
        maxTasks: undefined,
        taskEvents: false,
        name: '%h-%p',
        shutdownTimeout: 25_000,
        connectTimeout: 30_000,
        healthPort: undefined,
        logLevel: 'info',
        logFormat: undefined,
      },
    });
    expect(read('run', '-a', 'app.js')).to.deep.equal(read('-a', 'app.js'));
  });

  it('reads every flag of run', () => {
    const flags =
      '-q a,b:20 -x c -c 3 --prefetch 9 --once --max-tasks 100000 -n w%p -E --shutdown-timeout 1m --connect-timeout 500 ' +
      '--health-port 0 -l WARN --log-format json';
    expect(read('-a', 'app.js', ...flags.split(' '))).to.have.deep.property('options', {
      app: 'app.js',
      queues: new Map<string, number | true>([
        ['a', true],
        ['b', 20],
      ]),
      excludeQueues: ['c'],
      concurrency: 3,
      prefetch: 9,
      once: true,
      maxTasks: 100_000,
      taskEvents: true,
      name: 'w%p',
      shutdownTimeout: 60_000,
      connectTimeout: 500,
      healthPort: 0,
      logLevel: 'warn',
      logFormat: 'json',
    });
  });

  it('hands the options of a call on to the app', () => {
    const flags = '--at 2035-01-31T08:00:00Z --key k --id i --expires 1h --queue q --priority 7';
    const wish = read('enqueue', 'Loans.recompute', '-a', 'app.js', '--args', '[42]', ...flags.split(' '));
    expect(wish).to.have.deep.nested.property('options.call', {
      at: '2035-01-31T08:00:00Z',
      key: 'k',
      id: 'i',
      expires: '1h',
      queue: 'q',
      priority: 7,
    });
  });

  it('takes the environment where a flag is missing, and an empty variable for one that is not set', () => {
    Object.assign(process.env, { TASK_WORKER_APP: 'env.js', TASK_WORKER_QUEUES: 'a:2', TASK_WORKER_CONCURRENCY: '7' });
    Object.assign(process.env, { LOG_LEVEL: '' });
    const fromEnv = { app: 'env.js', queues: new Map([['a', 2]]), concurrency: 7, logLevel: 'info' };
    expect(read()).to.have.property('options').that.deep.includes(fromEnv);
    expect(read('-a', 'x.js', '-c', '2'))
      .to.have.property('options')
      .that.includes({ app: 'x.js', concurrency: 2 });
    expect(read('check')).to.deep.equal({ command: 'check', options: { app: 'env.js', json: false } });
  });

  it('suggests what was meant', () => {
    expect(refusal('--concurency', '3').message).to.equal("unknown option '--concurency'; did you mean --concurrency?");
    expect(refusal('chekc').message).to.contain("did you mean 'check'?");
    expect(refusal('-a', 'app.js', 'list').message).to.equal('the command comes first: task-worker list …');
  });

  it('says what a value must look like', () => {
    expect(refusal('-c', '0').message).to.contain('a whole number from 1 to 65535');
    expect(refusal('--shutdown-timeout', 'soon').message).to.contain("a duration such as '500ms'");
    expect(refusal('-l', 'loud').message).to.contain('one of trace, debug');
    expect(refusal('-q', 'a,,b').message).to.contain('commas');
    expect(refusal('-q', 'a,b:0').message).to.contain('a whole number from 1 to 65535');
    expect(refusal('-q', 'a:2,a:3').message).to.contain("the queue 'a' twice");
    expect(refusal('--max-tasks', 'many').message).to.contain('a whole number');
    expect(refusal().message).to.contain('-a dist/app.js');
  });

  it('ends with 64 and one line on stderr', async () => {
    const { code, stdout, stderr } = await taskWorker(['--concurency', '3']);
    expect({ code, stdout }).to.deep.equal({ code: 64, stdout: '' });
    expect(stderr).to.match(/^task-worker: unknown option .*did you mean --concurrency\?.*\n$/);
  });

  it('ends with 0 after the help and the version', async () => {
    const [help, version] = await Promise.all([taskWorker(['--help']), taskWorker(['-V'])]);
    expect([help.code, version.code]).to.deep.equal([0, 0]);
    expect(help.stdout).to.contain('check').and.to.contain('list');
    expect(version.stdout).to.match(/^\d+\.\d+\.\d+\n$/);
  });
});
