import amqplib from 'amqplib';
import { expect } from 'chai';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { fixture, taskWorker, TaskWorkerProcess, type End } from './task-worker-process.js';

/** A URL with another password, path or port. */
function changed(url: string, parts: Partial<Pick<URL, 'username' | 'password' | 'pathname' | 'port'>>): string {
  const parsed = new URL(url);
  // Node parses the authority of a scheme that it does not know as well.
  return Object.assign(parsed, parts).href;
}

const SECRET = 's3cret';

describe('task-worker run that cannot start', () => {
  // The delay queues of one namespace for all of them: declaring them takes the broker a moment.
  const namespace = uniqueName('ns');
  const run = (env: Record<string, string>, ...flags: string[]): Promise<End> => {
    const links = { AMQP_URL: testAmqpUrl(), REDIS_URL: testRedisUrl() };
    const place = { SPEC_QUEUE: uniqueName('cli'), SPEC_NAMESPACE: namespace };
    return taskWorker(['-a', fixture('app'), '--connect-timeout', '4s', ...flags], { ...links, ...place, ...env });
  };
  /** The one line on stderr. */
  const complaint = ({ stderr, stdout }: End): Record<string, unknown> => {
    expect(stdout + stderr).to.not.contain(SECRET);
    expect(stderr.trimEnd().split('\n')).to.have.length(1);
    return JSON.parse(stderr) as Record<string, unknown>;
  };

  // F3
  const cases: readonly [string, () => Record<string, string>, number, string | RegExp][] = [
    [
      'a broker that is not there',
      () => ({ AMQP_URL: `amqp://u:${SECRET}@127.0.0.1:1` }),
      69,
      /amqp:\/\/u:\*\*\*@127.0.0.1:1 cannot be reached.* is AMQP_URL .* right\?$/,
    ],
    [
      'a Redis that is not there',
      () => ({ REDIS_URL: `redis://:${SECRET}@127.0.0.1:1` }),
      69,
      /redis:\/\/:\*\*\*@127.0.0.1:1 cannot be reached.* is REDIS_URL .* right\?$/,
    ],
    [
      'a broker URL of another scheme',
      () => ({ AMQP_URL: `http://u:${SECRET}@127.0.0.1` }),
      78,
      'must begin with amqp://',
    ],
    ['a Redis URL that is none', () => ({ REDIS_URL: SECRET }), 78, 'must be a redis://'],
    [
      'a wrong password',
      () => ({ AMQP_URL: changed(testAmqpUrl(), { password: SECRET }) }),
      78,
      'refuses the user or the password; correct the login in AMQP_URL',
    ],
    [
      'a wrong Redis password',
      () => ({ REDIS_URL: changed(testRedisUrl(), { username: 'u', password: SECRET }) }),
      78,
      /WRONGPASS.*; correct the login in AMQP_URL or REDIS_URL/,
    ],
    [
      'a missing virtual host',
      () => ({ AMQP_URL: changed(testAmqpUrl(), { pathname: '/nowhere' }) }),
      78,
      "no virtual host 'nowhere'",
    ],
    ['no broker at all', () => ({ AMQP_URL: '' }), 78, 'set AMQP_URL'],
    ['no Redis at all', () => ({ REDIS_URL: '' }), 78, 'set REDIS_URL'],
    ["'memory:' as broker", () => ({ SPEC_BROKER: 'memory:' }), 78, 'lives inside one process'],
    ["'memory:' as locks", () => ({ REDIS_URL: 'memory:' }), 78, 'lives inside one process'],
  ];
  for (const [name, env, code, text] of cases) {
    it(`ends with ${code} and one clear line: ${name}`, async () => {
      const end = await run(env());
      expect(complaint(end)).to.include({ level: 'fatal', exit: code }).and.property('msg').to.match(new RegExp(text));
      expect(end.code).to.equal(code);
    });
  }

  it('ends with 78 when a queue exists with other arguments', async () => {
    const connection = await amqplib.connect(testAmqpUrl());
    const channel = await connection.createChannel();
    const queue = uniqueName('cli');
    await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'classic' } });
    try {
      const end = await run({ SPEC_QUEUE: queue });
      expect(complaint(end))
        .to.include({ code: 'QUEUE_MISMATCH' })
        .and.property('msg')
        .to.contain(`'${queue}' exists with other`);
      expect(end.code).to.equal(78);
    } finally {
      await channel.deleteQueue(queue);
      await connection.close();
    }
  });

  it('refuses a queue that no task is on, and flags that do not fit together', async () => {
    const stranger = await run({ SPEC_QUEUE: 'loans' }, '-q', 'loan');
    expect(complaint(stranger)).to.property('msg').to.contain("no task is on the queue 'loan'; did you mean 'loans'?");
    const none = await run({ SPEC_QUEUE: 'loans' }, '-x', 'loans');
    const narrow = await run({}, '-c', '20', '--prefetch', '5');
    expect(complaint(narrow)).to.property('msg').to.contain('prefetch');
    expect([stranger.code, none.code, narrow.code]).to.deep.equal([64, 64, 64]);
  });

  it("lets the app's code win over the environment", async () => {
    const end = await run({ SPEC_BROKER: 'amqp://127.0.0.1:1' });
    expect(end.code).to.equal(69);
  });

  it('prefers the pretty line where that is asked for', async () => {
    const end = await run({ AMQP_URL: '' }, '--log-format', 'pretty');
    expect(end.stderr).to.match(/^\d\d:\d\d:\d\d FATAL the app has no broker: set AMQP_URL .*\n$/);
  });

  it('ends at once by a signal while it waits for the broker', async () => {
    const flags = ['-a', fixture('app'), '--connect-timeout', '60s'];
    const worker = new TaskWorkerProcess(flags, { AMQP_URL: 'amqp://127.0.0.1:1', REDIS_URL: testRedisUrl() });
    await worker.hears('worker:connecting');
    worker.signal('SIGTERM');
    expect(await worker.ended).to.include({ code: 0, signal: null });
  });
});
