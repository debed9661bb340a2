import amqplib, { type Channel, type ChannelModel } from 'amqplib';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { jobsApp } from './fixtures/jobs.js';
import { fixture, taskWorker, TaskWorkerProcess, type End } from './task-worker-process.js';

/** No line of a table is wider than a terminal of 80 columns, and nothing is coloured where there is none. */
function expectReadable({ stdout }: End): void {
  for (const line of stdout.split('\n')) expect(line.length, line).to.be.at.most(80);
  expect(stdout).to.not.contain('\x1b');
}

describe('task-worker for operators', () => {
  // The delay queues of one namespace for all of them: declaring them takes the broker a moment.
  const namespace = uniqueName('ns');
  let connection: ChannelModel;
  let channel: Channel;
  let queue = '';
  let env: Record<string, string> = {};
  let producer: ReturnType<typeof jobsApp>;

  before(async () => {
    connection = await amqplib.connect(testAmqpUrl());
    channel = await connection.createChannel();
  });
  after(() => connection.close());
  beforeEach(() => {
    queue = uniqueName('cli');
    producer = jobsApp({ queue, namespace, broker: testAmqpUrl(), locks: testRedisUrl() });
    env = { AMQP_URL: testAmqpUrl(), REDIS_URL: testRedisUrl(), SPEC_QUEUE: queue, SPEC_NAMESPACE: namespace };
  });
  afterEach(async () => {
    await producer.app.close();
    for (const name of [queue, `${queue}.dead`]) await channel.deleteQueue(name);
    const redis = new Redis(testRedisUrl());
    const keys = await redis.keys(`${namespace}:*`);
    if (keys.length > 0) await redis.del(keys);
    await redis.quit();
  });

  const cli = (...args: string[]): Promise<End> => {
    const command = args[0] === 'dead' || args[0] === 'locks' ? 2 : 1;
    return taskWorker([...args.slice(0, command), '-a', fixture('app'), ...args.slice(command)], env);
  };
  const json = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { code, stdout, stderr } = await cli(...args, '--json');
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    return JSON.parse(stdout) as Record<string, unknown>;
  };
  const complaint = ({ code, stdout, stderr }: End, status: number): string => {
    expect({ code, stdout }).to.deep.equal({ code: status, stdout: '' });
    expect(stderr.trimEnd().split('\n')).to.have.length(1);
    return stderr;
  };
  const jobs = () => producer.app.tasks(producer.Jobs);
  const waiting = async (name = queue): Promise<number> => (await channel.checkQueue(name)).messageCount;
  const bury = async (...ids: number[]): Promise<string[]> => {
    const gone: string[] = [];
    producer.app.on('task:dead', ({ id }) => gone.push(id));
    const worker = producer.app.worker();
    await worker.start();
    // Not a number of milliseconds: the timer throws.
    for (const id of ids) await jobs().work(id, 'soon' as never);
    await eventually(() => expect(gone).to.have.length(ids.length));
    await worker.stop();
    return gone;
  };

  describe('enqueue', () => {
    it('enqueues a task by its name and prints the receipt', async () => {
      const first = await cli('enqueue', 'Jobs.work', '--args', '[7, 10]');
      expect(first.code).to.equal(0);
      const [, id = ''] = /^enqueued Jobs\.work\nid {3}(\S+)\nkey {2}job:7\n$/.exec(first.stdout) ?? [];
      expect(await waiting()).to.equal(1);
      const second = await json('enqueue', 'Jobs.work', '--args', '[7, 20]', '--delay', '5s');
      const { holder, ...receipt } = second;
      expect(receipt).to.deep.equal({ status: 'discarded', task: 'Jobs.work', id, key: 'job:7' });
      expect(holder).to.deep.equal({ id, phase: 'queued' });
    });

    it('says what is wrong with the task, the arguments and the options', async () => {
      const wrong = complaint(await cli('enqueue', 'Jobs.wrok'), 64);
      expect(wrong).to.contain("there is no task 'Jobs.wrok'; did you mean 'Jobs.work'? (tasks: Jobs.work, ");
      expect(complaint(await cli('enqueue', 'Jobs.work', '--args', '42'), 64)).to.contain("--args '[42]'");
      expect(complaint(await cli('enqueue', 'Jobs.work', '--args', '[4'), 64)).to.contain('this is no JSON: [4');
      expect(complaint(await cli('enqueue', 'Jobs.work', '--args', '[null, 1]'), 64)).to.contain('<id>');
      expect(complaint(await cli('enqueue', 'Jobs.work', '--args', '[1, 1]', '--delay', 'soon'), 78)).to.contain(
        'delay',
      );
      expect(await json('enqueue', 'Jobs.work', '--args', '[8, 1]', '--at', `${Date.now() + 60_000}`)).to.include({
        status: 'enqueued',
      });
      expect(complaint(await cli('enqueue'), 64)).to.contain('task');
    });
  });

  describe('dead', () => {
    it('lists and shows dead letters', async () => {
      const ids = await bury(1, 2, 3);
      const listed = await cli('dead', 'ls', '--limit', '2');
      expectReadable(listed);
      const [heading, row, ...rest] = listed.stdout.split('\n');
      expect(heading).to.match(/^ID\s+TASK\s+QUEUE\s+RUN\s+CODE\s+AGE\s+REASON$/);
      expect(row).to.match(/^[0-9a-f]{8} {2}Jobs\.work\s+\S+ +1 {4}FAILED {2}\ds {3}\S.*…$/);
      expect(rest.at(-2)).to.equal('… and 1 more: --limit, -q');
      expect(await json('dead', 'ls')).to.have.property('total', 3);
      const shown = await cli('dead', 'show', ids[1]?.slice(0, 8) ?? '');
      expect(shown.stdout)
        .to.contain(ids[1])
        .and.to.match(/^args {6}\[2,"soon"\]$/m);
      expect(shown.stdout).to.match(/\n\nTypeError.*soon.*\n {4}at /s);
      expect(await json('dead', 'show', ids[1] ?? '')).to.include({ key: 'job:2', code: 'FAILED', attempt: 1 });
      expect(complaint(await cli('dead', 'show', 'nobody-here'), 64)).to.contain('there is no dead letter nobody-here');
      await eventually(async () => expect(await waiting(`${queue}.dead`)).to.equal(3));
    });

    it('retries by id and all, and says what it left', async () => {
      const [first = '', second = ''] = await bury(1, 2);
      const { id: holder } = await jobs().work(2, 10);
      const one = await cli('dead', 'retry', first.slice(0, 8));
      expect(one.code).to.equal(0);
      expect(one.stdout).to.match(/^retried \S+ Jobs\.work as \S{36}\n1 dead letter retried\n$/);
      const all = await cli('dead', 'retry', '--all');
      expect(all.stdout).to.equal(
        `held ${second} Jobs.work: ${holder} has its key (queued)\n0 dead letters retried, 1 left in the dead letters\n`,
      );
      expect([await waiting(), await waiting(`${queue}.dead`)]).to.deep.equal([2, 1]);
    });

    it('drops after --yes only, where there is no terminal to ask at', async () => {
      const [first = ''] = await bury(1, 2);
      expect(complaint(await cli('dead', 'drop', '--all'), 64))
        .to.contain('Drop 2 dead letters of')
        .and.contain('--yes');
      expect((await cli('dead', 'drop', first, '--yes')).stdout).to.contain('1 dead letter dropped');
      expect(await json('dead', 'drop', '--all', '--yes')).to.have.length(1);
      expect((await cli('dead', 'ls')).stdout).to.equal('no dead letters\n');
    });

    it('wants to know which', async () => {
      expect(complaint(await cli('dead', 'retry'), 64)).to.contain('takes ids, or --all');
      expect(complaint(await cli('dead', 'drop', 'abc'), 64)).to.contain('too short');
      expect(complaint(await cli('dead', 'ls', '-q', 'strange'), 64)).to.contain("no task is on the queue 'strange'");
    });
  });

  describe('locks', () => {
    it('lists and shows who holds which key', async () => {
      const { id } = await jobs().work(7, 10);
      await jobs().ignoreEverything(1);
      const listed = await cli('locks', 'ls');
      expectReadable(listed);
      expect(listed.stdout).to.match(/^TASK {11,}KEY\s+PHASE\s+HOLDER\s+SINCE\s+LEFT\n/);
      expect(listed.stdout).to.match(new RegExp(`^Jobs\\.work +job:7 +queued +${id.slice(0, 8)} +`, 'm'));
      expect(await json('locks', 'ls', '--match', 'job:')).to.have.nested.property('locks.length', 1);
      expect(await json('locks', 'ls', '--limit', '1')).to.have.property('more', true);
      const { stdout } = await cli('locks', 'show', 'Jobs.work', 'job:7');
      expect(stdout).to.match(new RegExp(`^phase {3}queued\nholder {2}${id}$`, 'm'));
      expect((await json('locks', 'show', `${namespace}:lock:Jobs.work:job:7`))['owner']).to.equal(id);
      expect(await cli('locks', 'show', 'Jobs.work job:8')).to.include({ code: 1 });
      expect(complaint(await cli('locks', 'show', 'job:7'), 64)).to.contain("write 'Class.method key'");
    });

    it('takes a key from a live holder by --force only, and says what that breaks', async () => {
      await jobs().work(7, 10);
      const refused = complaint(await cli('locks', 'rm', 'Jobs.work job:7'), 64);
      expect(refused).to.contain('its message stays in the queue').and.contain('--force');
      expect(await jobs().work(7, 10)).to.have.property('status', 'discarded');
      const { code, stdout } = await cli('locks', 'rm', 'Jobs.work job:7', '--force');
      expect(code).to.equal(0);
      expect(stdout).to.contain('removed Jobs.work job:7: its message stays in the queue');
      expect(await json('locks', 'rm', 'Jobs.work job:7')).to.have.property('end', 'free');
      expect(await jobs().work(7, 10)).to.have.property('status', 'enqueued');
    });
  });

  it('purges after --yes only, and frees the keys', async () => {
    for (const id of [1, 2]) await jobs().work(id, 10);
    expect(complaint(await cli('purge'), 64)).to.contain('--queues');
    expect(complaint(await cli('purge', '-q', queue), 64))
      .to.contain(`Drop 2 messages of ${queue}?`)
      .and.contain('--yes');
    expect((await cli('purge', '-q', queue, '--yes')).stdout).to.equal(`${queue}: 2 messages dropped\n`);
    expect(await waiting()).to.equal(0);
    expect(await jobs().work(1, 10)).to.have.property('status', 'enqueued');
    expect(await json('purge', '-q', queue, '-y')).to.deep.equal([{ queue, dropped: 1, unreadable: 0, left: 0 }]);
  });

  it('inspects queues and workers, and what they run', async () => {
    const none = await cli('inspect');
    expect(none.stdout)
      .to.match(/^QUEUE\s+READY {2}CONSUMERS {2}DEAD\n/)
      .and.contain('no worker is there');
    const worker = new TaskWorkerProcess(['-a', fixture('app'), '-n', 'spec-worker', '-c', '3'], env);
    try {
      await jobs().work(7, 60_000);
      await worker.hears('task:started');
      await eventually(async () => {
        const { workers } = (await json('inspect')) as unknown as { workers: { runs: unknown[] }[] };
        expect(workers[0]).to.include({ name: 'spec-worker', concurrency: 3, running: 1 });
        expect(workers[0]?.runs[0]).to.include({ task: 'Jobs.work', key: 'job:7' });
      });
      const end = await cli('inspect');
      expectReadable(end);
      expect(end.stdout).to.match(/^spec-worker +\S+ +\S+ +1\/3 +\ds$/m);
      expect(end.stdout).to.match(/^Jobs\.work +job:7 +[0-9a-f]{8} +spec-worker +\ds$/m);
    } finally {
      worker.signal('SIGINT');
      worker.signal('SIGTERM');
      await worker.kill();
    }
  });

  it('ends with 69 and one line where a server is away, secrets masked', async () => {
    env['REDIS_URL'] = 'redis://:s3cret@127.0.0.1:1';
    const away = complaint(await cli('locks', 'ls', '--connect-timeout', '500ms'), 69);
    expect(away).to.contain('redis://:***@127.0.0.1:1').and.to.not.contain('s3cret');
    env['AMQP_URL'] = '';
    expect(complaint(await cli('inspect'), 78)).to.contain('set AMQP_URL');
  });
});
