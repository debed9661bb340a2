import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createApp, ShouldCompute, Task, type App, type ConfigError } from '../lib/index.js';
import { taskWorker } from './cli/task-worker-process.js';
import { thrownBy } from './support/declare.js';
import { ROOT } from './support/doc-examples.js';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const README = read('README.md');

/** What all specs say, this one left out. */
const SPECS = readdirSync(join(ROOT, 'spec'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.spec.ts') && file !== 'public-face.spec.ts')
  .map((file) => read(`spec/${file}`))
  .join('\n');

const notIn = (text: string, words: readonly string[]): string[] => words.filter((word) => !text.includes(word));

/** The part of a page from one heading to the next of its level. */
function section(page: string, heading: string): string {
  const [, text] = page.split(`\n${heading}\n`);
  if (text === undefined) throw new Error(`there is no ${heading}`);
  return text.split(new RegExp(`^#{1,${heading.indexOf(' ')}} `, 'm'))[0] ?? '';
}

/** What stands first in the rows of a text's tables, their heads left out. */
const rows = (text: string): string[] =>
  [...text.matchAll(/^\| +`([^`]+)` +\|.*\n(?!\| -)/gm)].map(([, name = '']) => name);

/** The options that are taken where an unknown one is refused. */
const known = (error: unknown): readonly string[] => (error as ConfigError).data['known'] as readonly string[];
const wrong = { unknown: true } as object;

function declare(task: object, shouldCompute?: object): void {
  class Loans {
    @Task(task) async recompute() {}
  }
  if (shouldCompute === undefined) return;
  class Reports {
    @Task() @ShouldCompute(shouldCompute) async report() {}
  }
  expect([Loans, Reports]).to.have.length(2);
}

async function refusal(call: (app: App, service: new () => { recompute(): Promise<void> }) => Promise<unknown>) {
  class Loans {
    @Task() async recompute() {}
  }
  await using app = createApp({ broker: 'memory:', locks: 'memory:', services: [Loans] });
  return call(app, Loans).catch((error: unknown) => error);
}

/** The flags of a command of task-worker, by its help. */
async function flagsOf(...command: string[]): Promise<string[]> {
  const { code, stdout } = await taskWorker([...command, '--help']);
  expect(code).to.equal(0);
  return [...stdout.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag = '']) => flag);
}

describe('the public face', () => {
  const notBuilt = section(README, '## Not built yet');

  const tables: [heading: string, options: () => readonly string[]][] = [
    ['### createApp', () => known(thrownBy(() => createApp({ ...wrong, services: [] })))],
    ['### @Task', () => known(thrownBy(() => declare(wrong)))],
    ['### unique', () => known(thrownBy(() => declare({ unique: { key: 'x', ...wrong } })))],
  ];
  for (const [heading, options] of tables) {
    it(`has a row in the README for every option of ${heading.slice(4)} that works, and for no other`, () => {
      const [line = ''] = notBuilt.match(new RegExp(`^- \`${heading.slice(4)}\`:.*`, 'm')) ?? [];
      const built = options().filter((option) => !line.includes(`\`${option}:`) && !line.includes(`\`${option}\`,`));
      expect(built).to.have.length.above(5);
      expect(rows(section(README, heading))).to.have.members(built);
    });
  }

  it('has in the table of `unique` what @ShouldCompute takes', () => {
    const options = known(thrownBy(() => declare({}, wrong)));
    expect(options).to.include('lease');
    expect(rows(section(README, '### unique'))).to.include.members([...options]);
  });

  it('has a row in the README for every option of a call', async () => {
    const listed = rows(section(README, '## Enqueueing'));
    const call = known(await refusal((app, Loans) => app.enqueue(Loans, 'recompute', [], wrong)));
    const batch = known(await refusal((app, Loans) => app.enqueueMany(Loans, 'recompute', [[]], wrong)));
    const sent = known(await refusal((app) => app.send('x', { queue: 'x', ...wrong })));
    expect(call).to.have.length.above(8);
    expect(listed).to.have.members([...call]);
    expect(call).to.include.members([...batch]);
    expect([...call, 'args', 'kwargs', 'timeLimit']).to.include.members([...sent]);
  });

  it('has a row in docs/events.md, and a spec, for every event', () => {
    const events = [...read('lib/signals.ts').matchAll(/^ {2}'([a-z]+:[a-z]+)':/gm)].map(([, name = '']) => name);
    expect(events).to.include('task:coalesced').and.have.length.above(25);
    expect(rows(read('docs/events.md'))).to.have.members(events);
    expect(
      notIn(
        SPECS,
        events.map((event) => `'${event}'`),
      ),
    ).to.deep.equal([]);
  });

  it('has a word in the README, and a spec, for every field of the context', () => {
    const contract = /interface TaskContext \{(.*?)^\}/ms.exec(read('lib/task-context.ts'))?.[1] ?? '';
    const fields = [...contract.matchAll(/^ {2}(?:readonly )?(\w+)[:(]/gm)].map(([, name = '']) => name);
    expect(fields).to.have.length(11);
    expect(rows(section(README, '## Inside a task'))).to.have.members(fields);
    expect(
      fields.filter(
        (field) =>
          !new RegExp(
            `taskContext\\(\\)[^;]*\\b${field}\\b|\\b${field}\\b[^;]*taskContext\\(\\)|context\\.${field}\\b`,
          ).test(SPECS),
      ),
    ).to.deep.equal([]);
  });

  it('has a place in docs/task-worker.md for every command and flag', async () => {
    const page = read('docs/task-worker.md');
    const commands = ['run', 'list', 'check', 'enqueue', 'inspect', 'purge'].map((word) => [word]);
    const groups = { dead: ['ls', 'show', 'retry', 'drop'], locks: ['ls', 'show', 'rm'] };
    for (const [group, acts] of Object.entries(groups)) commands.push(...acts.map((act) => [group, act]));
    const flags = (await Promise.all(commands.map((command) => flagsOf(...command)))).flat();
    expect(flags).to.include('--shutdown-timeout').and.include('--force');
    expect(
      notIn(
        page,
        commands.map((command) => command.join(' ')),
      ),
    ).to.deep.equal([]);
    const own = new Set(flags.filter((flag) => flag !== '--help'));
    expect(notIn(page, [...own])).to.deep.equal([]);
    expect(
      notIn(
        README,
        commands.map(([command = '']) => `\`${command}`),
      ),
    ).to.deep.equal([]);
  });

  it('has a place in docs/task-worker.md, and a spec, for every variable of the environment', () => {
    const variables = new Set(
      readdirSync(join(ROOT, 'lib/cli'))
        .flatMap((file) => [...read(`lib/cli/${file}`).matchAll(/\b(?:[A-Z]+_)+[A-Z]+\b/g)].map(([word]) => word))
        .filter((word) => /^(TASK_WORKER_|AMQP_URL|REDIS_URL|LOG_LEVEL|NO_COLOR)/.test(word)),
    );
    variables.delete('LOG_LEVELS');
    expect(variables.size).to.equal(7);
    for (const text of [read('docs/task-worker.md'), SPECS]) expect(notIn(text, [...variables])).to.deep.equal([]);
  });
});
