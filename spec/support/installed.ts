import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ROOT } from './doc-examples.js';

/** `task-worker`, from a folder in which the package is installed. */
export const BINARY = 'node_modules/solotask/dist/lib/cli/main.js';

/** Puts the packed package into a folder as an install would, and links of what it depends on beside it. */
export function install(folder: string): void {
  const modules = join(folder, 'node_modules');
  // Without scripts: `prepack` would build, and take these very files away.
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  mkdirSync(join(modules, 'solotask'), { recursive: true });
  execFileSync('tar', ['-xzf', join(folder, packed.trim()), '-C', join(modules, 'solotask'), '--strip-components=1']);
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: object };
  for (const name of [...Object.keys(dependencies), '@types/node']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
  }
}
