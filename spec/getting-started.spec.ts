import { expect } from 'chai';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, examplesOf, ROOT, runNode, write, type Ended } from './support/doc-examples.js';
import { BINARY, install } from './support/installed.js';

/** What was changed in which file before the command was run; the command is run in `folder`. */
interface Mistake {
  readonly file?: string;
  readonly wrong?: readonly [from: string | RegExp, to: string];
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly code: number;
  /** What `tsc` says of it, as the page names it. */
  readonly tsc?: string;
}

const check = [BINARY, 'check', '-a', 'dist/app.js'];
const run = [BINARY, '-a', 'dist/app.js', '--connect-timeout', '1s', '--log-format', 'pretty'];
const produce = ['dist/produce.js'];
const AMQP = { AMQP_URL: 'amqp://127.0.0.1:1' };
const tsconfig = 'tsconfig.json';
const service = 'src/loan-service.ts';
const app = 'src/app.ts';

const MISTAKES: Readonly<Record<string, Mistake>> = {
  'no emitDecoratorMetadata': {
    file: tsconfig,
    wrong: [/,\s+"emitDecoratorMetadata": true/, ''],
    args: check,
    code: 0,
  },
  'no experimentalDecorators': {
    file: tsconfig,
    wrong: [/,\s+"experimentalDecorators": true,\s+"emitDecoratorMetadata": true/, ''],
    args: check,
    code: 78,
    tsc: 'TS1241: Unable to resolve signature of method decorator when called as an expression',
  },
  'no type=module': {
    file: 'package.json',
    wrong: [/"type": "module"/, ''],
    args: check,
    code: 0,
    tsc: "TS1309: The current file is a CommonJS module and cannot use 'await' at the top level",
  },
  'no AMQP_URL': { args: run, env: { AMQP_URL: '', REDIS_URL: '' }, code: 78 },
  'no REDIS_URL': { args: run, env: { ...AMQP, REDIS_URL: '' }, code: 78 },
  'a producer without AMQP_URL': { args: produce, env: { AMQP_URL: '', REDIS_URL: '' }, code: 1 },
  'a key that names no parameter': { file: service, wrong: ['<loanId>', '<loanID>'], args: check, code: 78 },
  'a misspelt option': { file: service, wrong: ['unique:', 'uniqe:'], args: check, code: 78 },
  'no services': { file: app, wrong: ['[LoanService]', '[]'], args: check, code: 78 },
  'a service that is not listed': { file: app, wrong: ['[LoanService]', '[]'], args: produce, code: 1 },
  'a misspelt class': {
    file: app,
    wrong: [/LoanService/g, 'LoanServce'],
    args: check,
    code: 78,
    tsc: 'TS2724',
  },
  'a misspelt task': { file: 'src/produce.ts', wrong: ['recompute', 'recompte'], args: produce, code: 1 },
  'no RabbitMQ': { args: run, env: { ...AMQP, REDIS_URL: 'redis://127.0.0.1:1' }, code: 69 },
  'a .ts file': { args: [BINARY, 'check', '-a', app], code: 78 },
  'a module without an app': { args: [BINARY, 'check', '-a', 'dist/loan-service.js'], code: 78 },
};

/** The line of output that says what is wrong: the binary's, or the error that node prints. */
const MESSAGE = /^(?:ok|warning|task-worker|\w+Error): .*$|(?<=FATAL ).*$/m;

describe('docs/getting-started.md', function () {
  this.timeout(60_000);
  const page = readFileSync(join(ROOT, 'docs/getting-started.md'), 'utf8');
  const messages = examplesOf(page)
    .filter(({ language }) => language === 'text')
    .map(({ text }) => text.trim());
  let home: string;

  before(() => {
    home = mkdtempSync(join(tmpdir(), 'solotask-start-'));
    install(home);
    write(home, 'loans/package.json', '{ "type": "module" }');
    for (const { language, text, path } of examplesOf(page)) {
      if (language === 'json') write(home, 'loans/tsconfig.json', text);
      if (path !== undefined) write(home, `loans/${path}`, text);
    }
  });

  after(() => rmSync(home, { recursive: true }));

  /** A copy of the page's package, compiled with the mistake in it. */
  async function make({ file, wrong }: Mistake): Promise<{ folder: string; compiled: Ended }> {
    const folder = mkdtempSync(join(home, 'mistake-'));
    cpSync(join(home, 'loans'), folder, { recursive: true });
    symlinkSync(join(home, 'node_modules'), join(folder, 'node_modules'));
    if (file !== undefined && wrong !== undefined) {
      const right = readFileSync(join(folder, file), 'utf8');
      const changed = right.replace(wrong[0], wrong[1]);
      expect(changed, 'the mistake changes the file').to.not.equal(right);
      writeFileSync(join(folder, file), changed);
    }
    return { folder, compiled: await compile(folder) };
  }

  it('compiles, and prints what check and list say', async () => {
    const { folder, compiled } = await make({ args: [], code: 0 });
    expect(compiled).to.deep.equal({ code: 0, output: '' });
    const verified = await runNode(check, folder);
    const listed = await runNode([BINARY, 'list', '-a', 'dist/app.js'], folder);
    expect(messages).to.include(verified.output.trim()).and.include(listed.output.trim());
  });

  it('shows the same in one process, without servers', async () => {
    const { folder } = await make({ args: [], code: 0 });
    const { code, output } = await runNode(['dist/try.js'], folder);
    expect(code, output).to.equal(0);
    expect(output).to.match(/^loan:42 dropped: \S+ has the key\nloan 42 recomputed\n$/);
  });

  for (const [name, mistake] of Object.entries(MISTAKES)) {
    it(`has the very message: ${name}`, async () => {
      const { folder, compiled } = await make(mistake);
      if (mistake.tsc !== undefined) {
        expect(compiled.output).to.contain(mistake.tsc);
        expect(page).to.contain(mistake.tsc);
      }
      const { code, output } = await runNode(mistake.args, folder, mistake.env);
      const said = MESSAGE.exec(output)?.[0];
      expect(said, output).to.be.a('string');
      expect(messages).to.include.oneOf([said, said?.replace('task-worker: ', '')]);
      expect(code).to.equal(mistake.code);
    });
  }
});
