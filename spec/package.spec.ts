import amqplib from 'amqplib';
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compile, NodeProcess, ROOT, runNode, write } from './support/doc-examples.js';
import { eventually } from './support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from './support/servers.js';

const BINARY = './node_modules/.bin/task-worker';

const npm = (folder: string, ...args: string[]): Promise<{ stdout: string }> =>
  promisify(execFile)('npm', args, { cwd: folder });

/** A consumer that lets nothing pass: the declarations of all packages that ours name are checked as well. */
const TSCONFIG = {
  compilerOptions: {
    target: 'es2023',
    module: 'nodenext',
    types: ['node'],
    rootDir: 'src',
    outDir: 'dist',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
  },
  include: ['src'],
};

/** The service enqueues through the app, and the app lists the service: each module imports the other. */
const SOURCES = {
  'src/loan-service.ts': `
    import { Task } from 'solotask';
    import app from './app.js';
    export class LoanService {
      @Task({ unique: 'loan:<loanId>', queue: process.env.SPEC_QUEUE ?? 'loans' })
      async recompute(loanId: number): Promise<void> {
        console.log('recomputed ' + loanId);
        if (loanId > 40) await app.tasks(LoanService).recompute(loanId - 40);
      }
    }
    export const changed = (loanId: number) => app.tasks(LoanService).recompute(loanId);
    export { app };`,
  'src/app.ts': `
    import { createApp, type AppOptions } from 'solotask';
    import { LoanService } from './loan-service.js';
    const options: AppOptions = {
      broker: process.env.AMQP_URL,
      locks: process.env.REDIS_URL,
      services: () => [LoanService],
    };
    export default createApp(options);`,
  'src/by-app.ts': `
    import app from './app.js';
    import { changed } from './loan-service.js';
    console.log((await changed(42)).status);
    await app.close();`,
  'src/by-loan-service.ts': `
    import { app, changed } from './loan-service.js';
    console.log((await changed(42)).status);
    await app.close();`,
  'src/memory.ts': `
    import { createApp, type Receipt, type Transport, type Guard } from 'solotask';
    import { LoanService } from './loan-service.js';
    export type Everything = [Receipt, Transport, Guard];
    await using app = createApp({ broker: 'memory:', locks: 'memory:', services: [LoanService] });
    const done = new Promise((resolve) => app.on('task:succeeded', resolve));
    await app.worker().start();
    await app.tasks(LoanService).recompute(7);
    await done;`,
};

describe('the package, packed and installed by npm', function () {
  this.timeout(60_000);
  let folder: string;
  let paths: readonly string[];
  let env: Record<'AMQP_URL' | 'REDIS_URL' | 'SPEC_QUEUE', string>;

  before(async () => {
    env = { AMQP_URL: testAmqpUrl(), REDIS_URL: testRedisUrl(), SPEC_QUEUE: uniqueName('package') };
    folder = mkdtempSync(join(tmpdir(), 'solotask-package-'));
    // Without scripts: `prepack` would build, and take these very files away.
    const { stdout } = await npm(ROOT, 'pack', '--ignore-scripts', '--json', '--pack-destination', folder);
    const [about] = JSON.parse(stdout) as [{ filename: string; files: { path: string }[] }];
    paths = about.files.map(({ path }) => path);
    write(folder, 'package.json', '{ "private": true, "type": "module" }');
    await npm(folder, 'install', '--prefer-offline', '--no-audit', '--no-fund', `./${about.filename}`);
    mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
    write(folder, 'tsconfig.json', JSON.stringify(TSCONFIG));
    for (const [path, text] of Object.entries(SOURCES)) write(folder, path, text);
    expect(await compile(folder)).to.deep.equal({ code: 0, output: '' });
  });

  after(async () => {
    rmSync(folder, { recursive: true });
    const connection = await amqplib.connect(testAmqpUrl());
    const channel = await connection.createChannel();
    for (const queue of [env.SPEC_QUEUE, `${env.SPEC_QUEUE}.dead`]) await channel.deleteQueue(queue);
    await connection.close();
  });

  it('has the scripts of the locks, the declarations and the documents, and nothing of the specs', () => {
    const scripts = readdirSync(join(ROOT, 'lib/guards/scripts')).map((name) => `dist/lib/guards/scripts/${name}`);
    expect(scripts).to.have.length.above(3);
    expect(paths).to.include.members([...scripts, 'dist/lib/index.d.ts', 'README.md', 'CHANGELOG.md', 'LICENSE']);
    expect(paths.filter((path) => /(^|\/)(spec|samples|tools|bench)\//.test(path))).to.deep.equal([]);
  });

  it('runs a task on memory parts', async () => {
    expect(await runNode(['dist/memory.js'], folder)).to.deep.equal({ code: 0, output: 'recomputed 7\n' });
  });

  for (const entry of ['app', 'loan-service']) {
    it(`has a binary that verifies and lists an app whose modules import each other, entered by ${entry}.js`, async () => {
      const list = await promisify(execFile)(BINARY, ['list', '--json', '-a', `dist/${entry}.js`], { cwd: folder });
      expect(list.stdout).to.contain('LoanService.recompute').and.contain('loan:<loanId>');
      const check = await promisify(execFile)(BINARY, ['check', '-a', `dist/${entry}.js`], { cwd: folder });
      expect(check.stdout).to.equal('ok: 1 task on loans\n');
    });

    it(`runs tasks and what they enqueue, entered by ${entry}.js`, async () => {
      const producer = await runNode([`dist/by-${entry}.js`], folder, env);
      expect(producer).to.deep.equal({ code: 0, output: 'enqueued\n' });
      const worker = new NodeProcess([BINARY, '-a', `dist/${entry}.js`], folder, env);
      try {
        await eventually(() => expect(worker.output).to.match(/^recomputed 2$/m), { timeout: 20_000 });
      } finally {
        await worker.end('SIGTERM');
      }
      expect(worker.output.match(/^recomputed .*/gm)).to.deep.equal(['recomputed 42', 'recomputed 2']);
      expect(await worker.ended).to.have.property('code', 0);
    });
  }
});
