import { expect } from 'chai';
import { testRedisUrl, uniqueName } from './support/servers.js';
import { ROOT, runNode, type Ended } from './support/doc-examples.js';

/** Loader hooks that note each package that is asked for, and act as if `missing` were not installed. */
const hooks = (missing: string): string => `
  import { writeSync } from 'node:fs';
  export async function resolve(specifier, context, next) {
    if (/^[a-z@]/.test(specifier) && !specifier.startsWith('node:')) writeSync(1, 'asked for ' + specifier + '\\n');
    if (specifier !== '${missing}') return next(specifier, context);
    throw Object.assign(new Error("Cannot find package '${missing}'"), { code: 'ERR_MODULE_NOT_FOUND' });
  }`;

const dataUrl = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;

/** Runs code in a process of its own, in the repository, where importing `solotask` finds this very package. */
function runWithout(missing: string, code: string, env?: NodeJS.ProcessEnv): Promise<Ended> {
  const register = `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(hooks(missing)))});`;
  return runNode(['--import', dataUrl(register), '--input-type=module', '-e', code], ROOT, env);
}

const asked = (output: string): string[] => [...output.matchAll(/^asked for (.*)$/gm)].map(([, name = '']) => name);

/** An app whose messages stay in the process; its locks are where `LOCKS` says. */
const APP = `
  import { createApp, Task } from 'solotask';
  class Jobs { work(id) { console.log('worked ' + id); } }
  const descriptor = Object.getOwnPropertyDescriptor(Jobs.prototype, 'work');
  Task({ unique: 'job:<id>' })(Jobs.prototype, 'work', descriptor);
  const { LOCKS: locks, NAMESPACE: namespace } = process.env;
  const app = createApp({ broker: 'memory:', locks, services: [Jobs], namespace });`;

const RUN = `
  const done = new Promise((resolve) => app.on('task:succeeded', resolve));
  await app.worker().start();
  await app.tasks(Jobs).work(7);
  await done;
  await app.close();`;

const DRIVERS = ['amqplib', 'ioredis', 'redlock'];

describe('drivers', function () {
  this.timeout(20_000);
  const env = (locks: string) => ({ LOCKS: locks, NAMESPACE: uniqueName('ns') });

  it('without the package redlock nothing is enqueued or run on Redis, and the error names it', async () => {
    const attempts = `
      for (const attempt of [() => app.connect(), () => app.tasks(Jobs).work(7), () => app.worker().start()]) {
        console.log(await attempt().catch(({ message }) => 'refused: ' + message));
      }
      await app.close();`;
    const { code, output } = await runWithout('redlock', APP + attempts, env(testRedisUrl()));
    expect(output.match(/^refused: .*redlock/gm), output).to.have.length(3);
    expect(code).to.equal(0);
  });

  it('on memory parts an app asks for none, and works without', async () => {
    const { code, output } = await runWithout('redlock', APP + RUN, env('memory:'));
    expect(code, output).to.equal(0);
    expect(output).to.match(/^worked 7$/m);
    expect(asked(output).filter((name) => DRIVERS.includes(name))).to.deep.equal([]);
  });

  it('an app asks for those of its own parts only', async () => {
    const { code, output } = await runWithout('nothing', APP + RUN, env(testRedisUrl()));
    expect(code, output).to.equal(0);
    expect(output).to.match(/^worked 7$/m);
    expect(asked(output)).to.include('solotask');
    expect(new Set(asked(output).filter((name) => DRIVERS.includes(name)))).to.deep.equal(new Set(DRIVERS.slice(1)));
  });
});
