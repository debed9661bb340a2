import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NotYetError } from '../lib/index.js';
import { readCommandLine } from '../lib/cli/command-line.js';
import { taskWorker } from './cli/task-worker-process.js';
import { ROOT } from './support/doc-examples.js';

const line = (...args: string[]): unknown => readCommandLine(['-a', 'app.js', ...args], '1.2.3');

/** What asks for each thing that the README says is not built: by the beginning of its line there. */
const ASKED: Readonly<Record<string, readonly (() => unknown)[]>> = {
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
    expect(LISTED.join('\n')).to.contain('--health-port');
  });

  it('is all that lib/ refuses as not built', async () => {
    const stacks = await Promise.all(
      Object.values(ASKED)
        .flat()
        .map(async (ask) => (await refusal(ask)).stack ?? ''),
    );
    const found = places();
    expect(found).to.have.length.above(0);
    expect(found.filter((place) => !stacks.some((stack) => stack.includes(`/${place}:`)))).to.deep.equal([]);
  });

  it('ends task-worker with 64 and one line', async () => {
    const { code, stderr } = await taskWorker(['-a', 'app.js', '--health-port', '80']);
    expect(code).to.equal(64);
    expect(stderr).to.match(/^task-worker: the option --health-port is not built yet.*\n$/);
  });
});
