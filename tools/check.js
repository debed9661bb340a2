// All that is checked besides the specs, one line each; `npm run check`.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { checkBudgets } from './check/budgets.js';
import { checkDocstrings } from './check/docstrings.js';
import { checkImports } from './check/imports.js';
import { librarySources } from './check/source.js';
import { checkSurroundings } from './check/surroundings.js';
import { run } from './servers/child.js';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

/** Runs a tool of node_modules; its output is the failure. */
async function tool(name, ...args) {
  const { ok, output } = await run(join('node_modules', '.bin', name), args, { timeout: 300_000 });
  return ok ? [] : [output];
}

/** Packs once, as it would be published; both tools look at the same file. */
async function checkPackage() {
  const directory = mkdtempSync(join(tmpdir(), 'solotask-pack-'));
  try {
    const packed = await run('npm', ['pack', '--pack-destination', directory], { timeout: 300_000 });
    if (!packed.ok) return [packed.output];
    const file = join(directory, readdirSync(directory)[0]);
    const answers = [
      await tool('publint', 'run', file, '--strict'),
      await tool('attw', file, '--profile', 'esm-only', '--no-definitely-typed', '--no-color'),
    ];
    return answers.flat();
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const sources = librarySources();

/** @type {[name: string, about: string, check: () => string[] | Promise<string[]>][]} */
const CHECKS = [
  ['format', 'run `npm run format`', () => tool('prettier', '--check', '.')],
  ['lint', 'oxlint', () => tool('oxlint', '--type-aware', '--deny-warnings', '--format', 'unix')],
  ['imports', 'down only, no cycles, drivers in their adapters', () => checkImports(sources)],
  ['budgets', 'small files, small functions', () => checkBudgets(sources)],
  ['surroundings', 'one clock, no environment, no console', () => checkSurroundings(sources)],
  ['docstrings', 'everything exported says what it is', () => checkDocstrings()],
  ['reference', 'typedoc, a warning is a failure', () => tool('typedoc', '--emit', 'none', '--logLevel', 'Warn')],
  ['types', 'tsc', () => tool('tsc', '--noEmit', '-p', '.')],
  ['package', 'publint and attw on what would be published', () => checkPackage()],
];

let failed = 0;
for (const [name, about, check] of CHECKS) {
  const begin = performance.now();
  const failures = await check();
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(`${failures.length === 0 ? 'ok    ' : 'FAILED'}  ${name.padEnd(12)}  ${about} (${seconds} s)`);
  for (const failure of failures) console.log(failure.replace(/^/gm, '        '));
  if (failures.length > 0) failed += 1;
}
if (failed > 0) console.log(`${failed} of ${CHECKS.length} checks failed`);
process.exitCode = failed === 0 ? 0 : 1;
