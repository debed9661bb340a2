// Compiles lib/, spec/ and samples/ into dist/, and copies what the compiler does not (the Lua scripts).
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));
rmSync('dist', { recursive: true, force: true });
const { status } = spawnSync(process.execPath, ['node_modules/@typescript/native/bin/tsc', '-p', '.'], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(status ?? 1);
cpSync('lib', 'dist/lib', { recursive: true, filter: (path) => !path.endsWith('.ts') });
