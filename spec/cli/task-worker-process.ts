import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { eventually } from '../support/eventually.js';

const BINARY = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));
const FIXTURES = new URL('./fixtures/', import.meta.url);

/** The compiled app of that name. */
export const fixture = (name: string): string => fileURLToPath(new URL(`${name}.js`, FIXTURES));

/** A line of the JSON log. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly event?: string; readonly msg: string };

/** How a process ended, and what it said. */
export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `task-worker` of a spec's own. Of this process's environment it sees the path alone. */
export class TaskWorkerProcess {
  readonly ended: Promise<End>;
  readonly #process: ChildProcess;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const { PATH = '', NODE_V8_COVERAGE } = process.env;
    const coverage = NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE };
    this.#process = spawn(process.execPath, [BINARY, ...args], {
      env: { PATH, ...coverage, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process.stdout?.on('data', (data: Buffer) => (this.#stdout += data.toString()));
    this.#process.stderr?.on('data', (data: Buffer) => (this.#stderr += data.toString()));
    this.ended = this.#end();
  }

  get lines(): readonly LogLine[] {
    const whole = this.#stdout.split('\n').slice(0, -1);
    return whole.map((line) => JSON.parse(line) as LogLine);
  }

  said(event: string): LogLine | undefined {
    return this.lines.find((line) => line.event === event);
  }

  /** Waits for the first line of that event. */
  hears(event: string): Promise<LogLine> {
    return eventually(
      () => {
        const line = this.said(event);
        if (line === undefined) throw new Error(`no ${event} in ${this.#stdout}${this.#stderr}`);
        return line;
      },
      { timeout: 15_000 },
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** For hooks: whatever a spec has left running. */
  async kill(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.ended;
  }

  async #end(): Promise<End> {
    const [code, signal] = (await once(this.#process, 'close')) as [number | null, NodeJS.Signals | null];
    return { code, signal, stdout: this.#stdout, stderr: this.#stderr };
  }
}

/** Runs `task-worker` to its end. */
export const taskWorker = (args: readonly string[], env?: Readonly<Record<string, string>>): Promise<End> =>
  new TaskWorkerProcess(args, env).ended;
