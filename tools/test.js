// Runs the compiled specs on private servers, in two processes side by side, each with servers of its own: most specs
// wait most of the time. `--long` adds the long ones; everything else goes to mocha, and spec files named there replace
// the whole suite and run in one process. `--celery` runs those beside a real Celery instead.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { startServers } from './servers.js';
import { findCelery } from './servers/celery.js';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const given = process.argv.slice(2);
const long = given.includes('--long');
const passedOn = given.filter((argument) => !['--long', '--celery'].includes(argument));
const { SOLOTASK_TEST_AMQP_URL, SOLOTASK_TEST_REDIS_URL } = process.env;
const named = passedOn.some((argument) => argument.endsWith('.spec.js'));

/** What takes about half of the time. */
const HALF = ['integration', 'simulation', 'guards'].map((folder) => `dist/spec/${folder}/**/*.spec.js`);
const ALL = 'dist/spec/**/*.spec.js';
const CELERY = 'dist/spec/celery/**/*.spec.js';
const SHARDS = [
  { files: HALF, ignored: [] },
  { files: [ALL], ignored: [...HALF, CELERY] },
];
const celery = given.includes('--celery') || passedOn.some((argument) => argument.includes('/celery/'));

/** The last line of tools/reporter.js. */
const COUNTS = /^(\d+) passed, (\d+) failed$/m;
/** ms, from that line to the end of the process. */
const PATIENCE = 60_000;

/** What the user set for apps of their own must not reach the specs. */
const withoutSettings = (env) =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(AMQP_URL|REDIS_URL|LOG_LEVEL|TASK_WORKER_.*)$/.test(name)),
  );

/** Mocha in a process of its own; `tell` gets what it prints. Resolves to its exit code and the counts of tools/reporter.js. */
async function runMocha({ files, ignored }, servers, tell) {
  const skipped = [...ignored, ...(long ? [] : ['dist/spec/**/*.long.spec.js'])].flatMap((glob) => ['--ignore', glob]);
  const colour = process.stdout.isTTY ? ['--color'] : [];
  const mocha = ['node_modules/mocha/bin/mocha.js', '--reporter', 'tools/reporter.js', ...colour, ...skipped];
  const env = {
    ...withoutSettings(process.env),
    SOLOTASK_TEST_AMQP_URL: SOLOTASK_TEST_AMQP_URL || servers.amqpUrl,
    SOLOTASK_TEST_REDIS_URL: SOLOTASK_TEST_REDIS_URL || servers.env.REDIS_URL,
  };
  const options = { stdio: ['inherit', 'pipe', 'inherit'], env, detached: true };
  const child = spawn(process.execPath, [...mocha, ...passedOn, ...files], options);
  // Mocha runs in a child of its own: a signal has to reach the whole group.
  const end = (signal) => child.exitCode ?? child.signalCode ?? process.kill(-child.pid, signal);
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => end(signal));
  let printed = '';
  let patience;
  // A spec that failed half way leaves links open, and mocha waits for them for ever.
  const leftOpen = () => {
    tell(`the specs left something open: mocha is ended after ${PATIENCE / 1000} s\n`);
    end('SIGKILL');
  };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text;
    tell(text);
    if (COUNTS.test(text)) patience ??= setTimeout(leftOpen, PATIENCE);
  });
  const [status, signal] = await once(child, 'close');
  clearTimeout(patience);
  const [, passed = 0, failed = 0] = COUNTS.exec(printed) ?? [];
  return { code: status ?? 128 + constants.signals[signal], passed: Number(passed), failed: Number(failed) };
}

function chosenShards() {
  if (named) return [{ files: [], ignored: [] }];
  return given.includes('--celery') ? [{ files: [CELERY], ignored: [] }] : SHARDS;
}

async function main() {
  if (celery) await findCelery((text) => process.stderr.write(text));
  const shards = chosenShards();
  const servers = await Promise.all(
    shards.map((_, i) =>
      startServers({
        rabbit: SOLOTASK_TEST_AMQP_URL ? 0 : 1,
        redis: SOLOTASK_TEST_REDIS_URL ? 0 : 1,
        quiet: i > 0,
      }),
    ),
  );
  // Told at once, or when the one before has ended: two reports at a time are none.
  const held = shards.map(() => []);
  let turn = 0;
  const ends = shards.map(async (shard, i) => {
    const end = await runMocha(shard, servers[i], (text) =>
      i === turn ? process.stdout.write(text) : held[i].push(text),
    );
    await servers[i].stop();
    return end;
  });
  const counts = { passed: 0, failed: 0 };
  for (const end of ends) {
    const { code, passed, failed } = await end;
    process.exitCode ||= code;
    counts.passed += passed;
    counts.failed += failed;
    turn += 1;
    process.stdout.write(held[turn]?.splice(0).join('') ?? '');
  }
  if (shards.length > 1) console.log(`${counts.passed} passed, ${counts.failed} failed`);
}

await main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
