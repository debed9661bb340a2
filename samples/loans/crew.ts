import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { App } from 'solotask';
import type { LoanStore } from './loan-store.js';

/** Those who do the work of the demo. */
export interface Crew {
  /** False when nobody is left. */
  working(): boolean;
  /** Kills the worker with this process id, without a word to it, and starts another; false when there is none. */
  kill(pid: number): boolean;
  /** Lets what runs come to its end; resolves with what went wrong, one sentence each. */
  stop(): Promise<string[]>;
}

/** A worker in this process. */
export async function startEmbeddedCrew(app: App): Promise<Crew> {
  const worker = app.worker({ queues: ['loans'], concurrency: 8 });
  await worker.start();
  return {
    working: () => true,
    kill: () => false,
    async stop() {
      const { aborted } = await worker.stop({ timeout: 25_000 });
      return aborted > 0 ? [`${aborted} runs were aborted when the worker stopped`] : [];
    },
  };
}

/** Processes of `task-worker`, on the servers that the environment names; resolves when they are ready. */
export async function startProcessCrew(size: number, store: LoanStore): Promise<Crew> {
  let workers = Array.from({ length: size }, spawnWorker);
  const killAll = (): void => workers.forEach(({ child }) => child.kill('SIGKILL'));
  process.once('exit', killAll);
  const ready = (): boolean => store.query('SELECT pid FROM workers').length >= size;
  // One that cannot start has said why; what it leaves undone shows in the report.
  while (!ready() && workers.every(isRunning)) await pause(20);
  return {
    working: () => workers.some(isRunning),
    kill(pid) {
      const worker = workers.find(({ child }) => child.pid === pid);
      if (worker === undefined || !isRunning(worker)) return false;
      worker.child.kill('SIGKILL');
      workers = [...workers.filter((other) => other !== worker), spawnWorker()];
      return true;
    },
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

const taskWorker = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const appFile = fileURLToPath(new URL('./app.js', import.meta.url));

interface WorkerProcess {
  readonly child: ChildProcess;
  readonly exit: Promise<unknown>;
}

function spawnWorker(): WorkerProcess {
  const child = spawn(process.execPath, [taskWorker, 'run', '-a', appFile, '-q', 'loans', '-c', '8'], {
    // stdout is the demo's own; what a worker has to say is worth reading when something is wrong.
    env: { LOG_LEVEL: 'warn', ...process.env },
    stdio: ['ignore', process.stderr, process.stderr],
  });
  return { child, exit: once(child, 'exit') };
}

const isRunning = ({ child: { exitCode, signalCode } }: WorkerProcess): boolean =>
  exitCode === null && signalCode === null;
