import { expect } from 'chai';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { anchorsOf, compile, examplesOf, ROOT, write } from './support/doc-examples.js';

/** Documents by their paths from the repository. */
function documents(): Map<string, string> {
  const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md'));
  const paths = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...pages.map((name) => `docs/${name}`)];
  return new Map(paths.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]));
}

describe('the documents', () => {
  it('have TypeScript examples that compile with the tsconfig of docs/getting-started.md', async () => {
    // Inside the repository, so that `solotask` is this package.
    const folder = mkdtempSync(join(ROOT, 'dist/docs-'));
    try {
      for (const [path, markdown] of documents()) {
        const blocks = examplesOf(markdown).filter(({ language }) => language === 'ts');
        blocks.forEach((block, i) => write(folder, join(path, block.path ?? `${i + 1}.ts`), block.text));
      }
      const start = examplesOf(readFileSync(join(ROOT, 'docs/getting-started.md'), 'utf8'));
      const { compilerOptions } = JSON.parse(start.find(({ language }) => language === 'json')?.text ?? '') as {
        compilerOptions: object;
      };
      // The types of Drizzle do not compile without every driver; those of this package do, in readme.spec.ts.
      const own = { rootDir: '.', noEmit: true, skipLibCheck: true };
      const config = { compilerOptions: { ...compilerOptions, ...own }, include: ['.'] };
      write(folder, 'tsconfig.json', JSON.stringify(config));
      expect(await compile(folder)).to.deep.equal({ code: 0, output: '' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('link to files that are there', () => {
    const dead = [...documents()].flatMap(([path, markdown]) =>
      [...markdown.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)]
        .map(([, target = '']) => join(dirname(path), target))
        .filter((target) => !existsSync(join(ROOT, target)))
        .map((target) => `${path}: ${target}`),
    );
    expect(dead).to.deep.equal([]);
  });

  it('link to headings that are there', () => {
    const pages = documents();
    const dead = [...pages].flatMap(([path, markdown]) =>
      [...markdown.matchAll(/\]\(((?!https?:)[^)#]*)#([^)]+)\)/g)]
        .filter(([, target = '', heading = '']) => {
          const page = target === '' ? markdown : (pages.get(join(dirname(path), target)) ?? '');
          return !anchorsOf(page).includes(heading);
        })
        .map(([link]) => `${path}: ${link}`),
    );
    expect(dead).to.deep.equal([]);
  });

  it('define every source that they cite by name', () => {
    const missing = [...documents()].flatMap(([path, markdown]) =>
      [...markdown.matchAll(/\]\[([\w-]+)\]/g)]
        .filter(([, name = '']) => !markdown.includes(`\n[${name}]: https://`))
        .map(([link]) => `${path}: ${link}`),
    );
    expect(missing).to.deep.equal([]);
  });

  it('are all reached from docs/index.md', () => {
    const index = documents().get('docs/index.md') ?? '';
    const pages = readdirSync(join(ROOT, 'docs')).filter((name) => name.endsWith('.md') && name !== 'index.md');
    expect(pages.filter((name) => !index.includes(`](${name})`))).to.deep.equal([]);
  });

  it('speak in docs/internals.md of files of lib/ that are there', () => {
    const named = [...(documents().get('docs/internals.md') ?? '').matchAll(/`([a-z-]+\/)?([a-z-]+\.ts)`/g)];
    const gone = named
      .map(([, folder = '', file = '']) => folder + file)
      .filter((p) => !existsSync(join(ROOT, 'lib', p)));
    expect(gone).to.deep.equal([]);
  });

  it('have a row in docs/internals.md for every file of lib/: by its name, its folder, or the beginning of its name', () => {
    const [, table = ''] = (documents().get('docs/internals.md') ?? '').split('\n## Where it stands\n');
    const named = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
    );
    const covers = (name: string, file: string) =>
      name === file || (/[*/]/.test(name) && file.startsWith(name.replace(/\*.*/, '')));
    const files = readdirSync(join(ROOT, 'lib'), { recursive: true, encoding: 'utf8' });
    const left = files.filter((file) => file.endsWith('.ts') && !named.some((name) => covers(name, file)));
    expect(left).to.deep.equal([]);
    expect(named.filter((name) => !files.some((file) => covers(name, file)))).to.deep.equal([]);
  });
});
