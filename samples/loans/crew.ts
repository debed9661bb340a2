import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { App } from 'solotask';

/** Those who do the work of the demo. */
export interface Crew {
  /** False when nobody is left. */
  working(): boolean;
  /** Lets what runs come to its end; resolves with what went wrong, one sentence each. */
  stop(): Promise<string[]>;
}

/** A worker in this process. */
export async function startEmbeddedCrew(app: App): Promise<Crew> {
  const worker = app.worker({ queues: ['loans'], concurrency: 8 });
  await worker.start();
  return {
    working: () => true,
    async stop() {
      const { aborted } = await worker.stop({ timeout: 25_000 });
      return aborted > 0 ? [`${aborted} runs were aborted when the worker stopped`] : [];
    },
  };
}

const taskWorker = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const appFile = fileURLToPath(new URL('./app.js', import.meta.url));

/** Processes of `task-worker`, on the servers that the environment names. */
export function startProcessCrew(size: number): Crew {
  const workers = Array.from({ length: size }, () => {
    const child = spawn(process.execPath, [taskWorker, 'run', '-a', appFile, '-q', 'loans', '-c', '8'], {
      // stdout is the demo's own; what a worker has to say is worth reading when something is wrong.
      env: { LOG_LEVEL: 'warn', ...process.env },
      stdio: ['ignore', process.stderr, process.stderr],
    });
    return { child, exit: once(child, 'exit') };
  });
  const killAll = (): void => workers.forEach(({ child }) => child.kill('SIGKILL'));
  process.once('exit', killAll);
  return {
    working: () => workers.some(({ child }) => isRunning(child)),
    async stop() {
      for (const { child } of workers) child.kill('SIGTERM');
      await Promise.all(workers.map(({ exit }) => exit));
      process.off('exit', killAll);
      return workers
        .filter(({ child }) => child.exitCode !== 0)
        .map(({ child }) => `worker ${child.pid} ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`);
    },
  };
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null;
