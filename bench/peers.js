// Where the peers come from: BullMQ is installed into this directory, Celery is one of Debian's packages.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run } from '../tools/servers/child.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
/** The first in PATH may be another one than Debian's, which has Debian's packages. */
const PYTHONS = ['python3', '/usr/bin/python3'];
const INSTALL = 'apt-get -q update && apt-get -q install -y --no-install-recommends python3-celery python3-redis';

const fail = (what, output) => new Error(`${what} failed: ${output.slice(-1500)}`);

/** BullMQ is there afterwards. */
export async function provideBullmq(say) {
  if (existsSync(new URL('node_modules/bullmq/package.json', import.meta.url))) return;
  say('BullMQ is not in bench/node_modules yet: running `npm ci --prefix bench`, this once\n');
  const { ok, output } = await run('npm', ['ci', '--prefix', HERE], { timeout: 300_000 });
  if (!ok) throw fail('npm ci --prefix bench', `${output}\nWithout BullMQ: --sides ours,floor,hand\n`);
}

/** A Python that has Celery, and Celery's version; undefined when there is none. */
export async function findCelery() {
  for (const python of PYTHONS) {
    const { ok, output } = await run(python, ['-c', 'import celery, redis; print(celery.__version__)']);
    if (ok) return { python, version: output };
  }
  return undefined;
}

/** Puts Celery where `findCelery` finds it. */
export async function installCelery(say) {
  if (process.getuid?.() !== 0) throw new Error(`--celery needs root; or run it yourself: ${INSTALL}`);
  say('Installing python3-celery and python3-redis with apt-get\n');
  const { ok, output } = await run('/bin/sh', ['-c', INSTALL], { timeout: 900_000 });
  if (!ok) throw fail('apt-get install python3-celery', output);
}
