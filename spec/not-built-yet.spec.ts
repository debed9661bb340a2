import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApp, NotYetError, ShouldCompute, Task, type App } from '../lib/index.js';
import { readCommandLine } from '../lib/cli/command-line.js';
import { taskWorker } from './cli/task-worker-process.js';
import { ROOT } from './support/doc-examples.js';

const declare = (options: object): unknown => {
  class Loans {
    @Task(options) async recompute() {}
  }
  return Loans;
};

const withApp = async (use: (app: App) => Promise<unknown>, options: object = {}): Promise<unknown> => {
  class Loans {
    @Task()
    @ShouldCompute({ key: 'all', onDuplicate: 'coalesce' })
    async recompute() {}
  }
  await using app = createApp({ broker: 'memory:', locks: 'memory:', ...options, services: [Loans] });
  return await use(app);
};

const line = (...args: string[]): unknown => readCommandLine(['-a', 'app.js', ...args], '1.2.3');

/** What asks for each thing that the README says is not built: by the beginning of its line there. */
const ASKED: Readonly<Record<string, readonly (() => unknown)[]>> = {
  '`@Task`': [() => declare({ timeLimit: '1m' }), () => declare({ thread: true })],
  'a plain call': [
    () =>
      withApp((app) =>
        Promise.resolve(Reflect.construct(app.definitions[0]!.service, []) as { recompute(): unknown }).then((loans) =>
          loans.recompute(),
        ),
      ),
  ],
  '`task-worker`': [() => line('--health-port', '80')],
};

/** The lines of the README's section, as one text each. */
const LISTED = (/^## Not built yet\n(.*?)^## /ms.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'))?.[1] ?? '')
  .split('\n')
  .filter((text) => text.startsWith('- '))
  .map((text) => text.slice(2));

async function refusal(ask: () => unknown): Promise<Error> {
  try {
    await ask();
  } catch (error) {
    return error as Error;
  }
  throw new Error(`${ask.toString()} was accepted`);
}

/** `lib/file.ts:12` for each place that refuses. */
function places(): readonly string[] {
  const lib = join(ROOT, 'lib');
  return readdirSync(lib, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => {
      const lines = readFileSync(join(lib, file), 'utf8').split('\n');
      const refusing = lines.map((text, i) => (/throw \w*[nN]otYet\w*\(|new NotYetError\(/.test(text) ? i + 1 : 0));
      return refusing.filter((number) => number > 0).map((number) => `lib/${file}:${number}`);
    });
}

describe('what the README says is not built yet', () => {
  it('is refused, each of it, and named', async () => {
    expect(LISTED.map((text) => Object.keys(ASKED).find((start) => text.startsWith(start)) ?? text)).to.have.members(
      Object.keys(ASKED),
    );
    for (const ask of Object.values(ASKED).flat())
      expect(await refusal(ask), String(ask)).to.be.instanceOf(NotYetError);
    for (const option of ['timeLimit', 'thread', '--health-port']) {
      expect(LISTED.join('\n')).to.contain(option);
    }
  });

  it('is all that lib/ refuses as not built', async () => {
    const stacks = await Promise.all(
      Object.values(ASKED)
        .flat()
        .map(async (ask) => (await refusal(ask)).stack ?? ''),
    );
    const found = places();
    expect(found).to.have.length.above(2);
    expect(found.filter((place) => !stacks.some((stack) => stack.includes(`/${place}:`)))).to.deep.equal([]);
  });

  it('ends task-worker with 64 and one line', async () => {
    const { code, stderr } = await taskWorker(['-a', 'app.js', '--health-port', '80']);
    expect(code).to.equal(64);
    expect(stderr).to.match(/^task-worker: the option --health-port is not built yet.*\n$/);
  });
});
