// How long a command takes before it can do anything, and what it takes in memory.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';

const path = (name) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const PEAK = new URL('../peak.js', import.meta.url).href;

const COMMANDS = {
  'task-worker check': [path('dist/lib/cli/main.js'), 'check', '-a', path('dist/samples/loans/app.js')],
  'node -e 0': ['-e', '0'],
};

/** Runs node to its end; resolves with what came on a pipe of its own. */
async function runNode(args) {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] });
  let said = '';
  child.stdio[3].on('data', (data) => (said += data));
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`node ${args.join(' ')} ended with ${code}`);
  return said;
}

export async function start(bench) {
  await bench.rounds('start', async ({ turns, record }) => {
    for (const [label, args] of turns(Object.entries(COMMANDS))) {
      const begin = performance.now();
      await runNode(args);
      record('start, wall time', label, { value: performance.now() - begin });
      // In a run of its own: looking costs time.
      const bytes = await runNode(['--import', PEAK, ...args]);
      record('start, peak memory', label, { value: Number(bytes) / 1024 });
    }
  });
}
