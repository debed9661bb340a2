// Runs the compiled specs on private servers. `--long` adds the long ones; everything else goes to mocha, and spec files
// named there replace the whole suite.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { startServers } from './servers.js';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const given = process.argv.slice(2);
const long = given.includes('--long');
const passedOn = given.filter((argument) => argument !== '--long');
const files = passedOn.some((argument) => argument.endsWith('.spec.js')) ? [] : ['dist/spec/**/*.spec.js'];
const ignored = long ? [] : ['--ignore', 'dist/spec/**/*.long.spec.js'];

/** What the user set for apps of their own must not reach the specs. */
const withoutSettings = (env) =>
  Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(AMQP_URL|REDIS_URL|LOG_LEVEL|TASK_WORKER_.*)$/.test(name)),
  );

async function runMocha(env) {
  const mocha = [
    'node_modules/mocha/bin/mocha.js',
    '--reporter',
    'tools/reporter.js',
    ...ignored,
    ...passedOn,
    ...files,
  ];
  const child = spawn(process.execPath, mocha, { stdio: 'inherit', env: { ...withoutSettings(process.env), ...env } });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  const [status, signal] = await once(child, 'exit');
  return status ?? 128 + constants.signals[signal];
}

const { SOLOTASK_TEST_AMQP_URL, SOLOTASK_TEST_REDIS_URL } = process.env;
const servers = await startServers({
  rabbit: SOLOTASK_TEST_AMQP_URL ? 0 : 1,
  redis: SOLOTASK_TEST_REDIS_URL ? 0 : 1,
}).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
process.exitCode = await runMocha({
  SOLOTASK_TEST_AMQP_URL: SOLOTASK_TEST_AMQP_URL || servers.amqpUrl,
  SOLOTASK_TEST_REDIS_URL: SOLOTASK_TEST_REDIS_URL || servers.env.REDIS_URL,
});
await servers.stop();
