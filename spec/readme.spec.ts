import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compile, examplesOf, NodeProcess, ROOT, runNode, write } from './support/doc-examples.js';
import { eventually } from './support/eventually.js';
import { BINARY, install } from './support/installed.js';
import { startServers, type Servers } from './support/servers.js';

const page = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

describe('the package, installed in a directory of its own with nothing but the text of the README and its links', function () {
  this.timeout(60_000);
  let folder: string;
  let servers: Servers;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'solotask-readme-'));
    const starting = startServers({ redis: 1, rabbit: 1, quiet: true });
    install(folder);
    write(folder, 'package.json', '{ "type": "module" }');
    for (const { language, text } of examplesOf(page('docs/getting-started.md'))) {
      if (language === 'json') write(folder, 'tsconfig.json', text);
    }
    for (const path of ['docs/containers.md', 'README.md']) {
      for (const example of examplesOf(page(path))) {
        if (example.path !== undefined) write(folder, example.path, example.text);
      }
    }
    const compiled = await compile(folder);
    servers = await starting;
    expect(compiled).to.deep.equal({ code: 0, output: '' });
  });

  after(async () => {
    await servers.stop();
    rmSync(folder, { recursive: true });
  });

  it('runs each loan once, and tells the producer whose key it is', async () => {
    const { output } = await runNode(['dist/produce.js'], folder, servers.env);
    expect(output).to.match(/^42 enqueued (\S+)\n42 discarded \1\n7 enqueued \S+\n42 discarded \1\n$/);
    const worker = new NodeProcess([BINARY, '-a', 'dist/app.js'], folder, servers.env);
    try {
      await eventually(() => expect(worker.output.match(/^loan .*/gm)).to.have.length(2), { timeout: 20_000 });
    } finally {
      await worker.end('SIGTERM');
    }
    expect((await worker.ended).code).to.equal(0);
    expect(worker.output.match(/^loan .*/gm)).to.have.members(['loan 42 recomputed', 'loan 7 recomputed']);
  });

  it('has a binary that verifies the app', async () => {
    const { code, output } = await runNode([BINARY, 'check', '-a', 'dist/app.js'], folder);
    expect({ code, output }).to.deep.equal({ code: 0, output: 'ok: 1 task on tasks\n' });
  });

  for (const entry of ['ledger', 'ledger-app']) {
    it(`enqueues where app and service import each other, entered by ${entry}.js`, async () => {
      const load = `await import('./dist/${entry}.js')`;
      const call = `const { Ledger } = await import('./dist/ledger.js'); await new Ledger().booked(7)`;
      const close = `await (await import('./dist/ledger-app.js')).default.close()`;
      const script = `${load}; ${call}; ${close}; console.log('enqueued')`;
      const { code, output } = await runNode(['--input-type=module', '-e', script], folder, servers.env);
      expect({ code, output }).to.deep.equal({ code: 0, output: 'enqueued\n' });
    });
  }
});
