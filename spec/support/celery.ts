import type { Redis } from 'ioredis';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { eventually } from './eventually.js';
import { testAmqpUrl, testRedisUrl } from './servers.js';

const PYTHON = '/usr/bin/python3';
/** From dist/spec/support to the sources: Python is not compiled. */
const SOURCES = fileURLToPath(new URL('../../../spec/celery/', import.meta.url));

/** Where a Python process works; everything has a default but the queue. */
export interface CeleryOptions {
  readonly queue: string;
  readonly broker?: string;
  readonly redis?: string;
  /** @default the folder of the specs' Python files */
  readonly directory?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A Python process in a group of its own, which ends when its input does. */
export class PythonProcess {
  readonly process: ChildProcess;
  readonly #ended: Promise<unknown>;
  /** All that it printed on stderr. */
  errors = '';

  constructor(args: readonly string[], { queue, broker, redis, directory = SOURCES, env }: CeleryOptions) {
    const own = { SPEC_BROKER: broker ?? testAmqpUrl(), SPEC_REDIS: redis ?? testRedisUrl(), SPEC_QUEUE: queue };
    this.process = spawn(PYTHON, args, {
      cwd: directory,
      detached: true,
      env: { ...process.env, PYTHONPATH: SOURCES, PYTHONDONTWRITEBYTECODE: '1', C_FORCE_ROOT: '1', ...own, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#ended = once(this.process, 'exit');
    this.process.stdin?.on('error', () => {});
    this.process.stderr?.on('data', (data: Buffer) => (this.errors += data.toString()));
  }

  get alive(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** KILL takes its whole group, TERM is for it alone; resolves when it is gone. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const { pid } = this.process;
    if (this.alive && pid !== undefined) process.kill(signal === 'SIGKILL' ? -pid : pid, signal);
    await this.#ended;
  }
}

/** What a command of peer.py has raised. */
export class PythonError extends Error {
  constructor(
    readonly type: string,
    readonly module: string,
    message: string,
  ) {
    super(message);
  }
}

interface Answer {
  readonly n: number;
  readonly value?: unknown;
  readonly error?: { readonly type: string; readonly module: string; readonly message: string };
}

/** A Celery client: a Python process that does what it is told (spec/celery/peer.py says what it knows). */
export class CeleryPeer {
  readonly #python: PythonProcess;
  readonly #open = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #count = 0;

  constructor(options: CeleryOptions) {
    this.#python = new PythonProcess(['peer.py'], options);
    const { stdout } = this.#python.process;
    if (stdout === null) throw new Error('no output');
    createInterface({ input: stdout }).on('line', (line) => this.#hear(JSON.parse(line) as Answer));
    this.#python.process.once('exit', () => {
      for (const { reject } of this.#open.values()) reject(new Error(`the peer has ended: ${this.#python.errors}`));
    });
  }

  /** Runs a command; rejects with what it raised. */
  ask<T = unknown>(command: string, wish: Readonly<Record<string, unknown>> = {}): Promise<T> {
    const n = ++this.#count;
    const answer = new Promise((resolve, reject) => this.#open.set(n, { resolve, reject }));
    this.#python.process.stdin?.write(`${JSON.stringify({ n, do: command, ...wish })}\n`);
    return answer as Promise<T>;
  }

  async close(): Promise<void> {
    await this.#python.end('SIGKILL');
  }

  #hear({ n, value, error }: Answer): void {
    const waiter = this.#open.get(n);
    this.#open.delete(n);
    if (error === undefined) waiter?.resolve(value);
    else waiter?.reject(new PythonError(error.type, error.module, error.message));
  }
}

/** How a Celery worker is started. */
export interface CeleryWorkerOptions extends CeleryOptions {
  /** Module with the app, as `-A`. @default 'tasks' */
  readonly module?: string;
  /** More of its command line. @default one process that runs the bodies itself, `-P solo` */
  readonly args?: readonly string[];
  /** It talks to other workers, by gossip and mingle. @default false */
  readonly sociable?: boolean;
}

/** A run, as spec/celery/tasks.py tells it. */
export interface CeleryRun {
  readonly task: string;
  readonly id: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly retries: number;
  readonly eta: string | null;
  readonly expires: string | null;
  readonly timelimit: readonly (number | null)[] | null;
  readonly priority: number | null;
  readonly redelivered: boolean;
  readonly rootId: string | null;
  readonly parentId: string | null;
  readonly correlationId: string;
  /** Headers of the sender's own, by the names that tasks.py knows. */
  readonly own: Readonly<Record<string, unknown>>;
  /** Epoch ms. */
  readonly at: number;
}

/** A real Celery worker. */
export class CeleryWorker {
  readonly #python: PythonProcess;

  constructor({ module = 'tasks', args = ['-P', 'solo'], sociable = false, ...options }: CeleryWorkerOptions) {
    const alone = sociable ? [] : ['--without-gossip', '--without-mingle'];
    const own = [...alone, '-l', 'INFO', ...args];
    this.#python = new PythonProcess(
      ['with_parent.py', '-A', module, 'worker', '-Q', options.queue, ...own, '-n', `${options.queue}@%h`],
      options,
    );
  }

  /** It runs, and has said nothing of an unrecoverable error. */
  get alive(): boolean {
    return this.#python.alive && !this.#python.errors.includes('Unrecoverable error');
  }

  /** Its log. */
  get log(): string {
    return this.#python.errors;
  }

  get pid(): number {
    return this.#python.process.pid ?? 0;
  }

  /** Resolves when it consumes. */
  async ready(): Promise<void> {
    await eventually(
      () => {
        if (!/ ready\.$/m.test(this.log)) throw new Error(`the Celery worker is not ready: ${this.log}`);
      },
      { timeout: 30_000 },
    );
  }

  /** Ends it: KILL with all its processes at once, TERM when its bodies have ended. */
  end(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    return this.#python.end(signal);
  }
}

/** The runs that Celery workers have told of, of one queue, in their order. */
export async function celeryRuns(redis: Redis, queue: string): Promise<readonly CeleryRun[]> {
  const texts = await redis.lrange(`spec:${queue}:runs`, 0, -1);
  return texts.map((text) => JSON.parse(text) as CeleryRun);
}
