import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { PythonProcess } from '../support/celery.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl } from '../support/servers.js';

const PYTHON = '/usr/bin/python3';

/** What the program `celery` prints and with which status it ends. */
export async function celeryProgram(...args: string[]): Promise<{ code: number; stdout: string }> {
  const env = { ...process.env, NO_COLOR: '1' };
  const run = promisify(execFile)(PYTHON, ['-m', 'celery', '-b', testAmqpUrl(), ...args], { env, timeout: 30_000 });
  return run.then(
    ({ stdout }) => ({ code: 0, stdout }),
    (error: { code: number; stdout: string }) => ({ code: error.code, stdout: error.stdout }),
  );
}

/** `celery events --dump`, until it is closed. */
export class EventDump {
  text = '';
  readonly #process = spawn(PYTHON, ['-u', '-m', 'celery', '-b', testAmqpUrl(), 'events', '--dump']);

  constructor() {
    this.#process.stdout.on('data', (data: Buffer) => (this.text += data.toString()));
  }

  close(): void {
    this.#process.kill('SIGKILL');
  }
}

/** An event as a monitor got it. */
export type Seen = Readonly<Record<string, unknown>> & { readonly event: string; readonly hostname: string };

/** What Celery's State says of all workers and tasks. */
export interface MonitorState {
  readonly workers: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly tasks: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Celery's own Receiver and State, in a process of their own (monitor.py). */
export class Monitor {
  readonly seen: Seen[] = [];
  readonly #python = new PythonProcess(['monitor.py'], { queue: 'none' });
  readonly #states: MonitorState[] = [];

  constructor() {
    const { stdout } = this.#python.process;
    if (stdout === null) throw new Error('no output');
    createInterface({ input: stdout }).on('line', (line) => {
      const said = JSON.parse(line) as Seen;
      if (said.event === 'state') this.#states.push(said as unknown as MonitorState);
      else this.seen.push(said);
    });
  }

  /** Resolves when it watches, and its queue is bound. */
  async ready(): Promise<void> {
    await eventually(
      () => {
        if (!this.seen.some(({ event }) => event === 'watching')) throw new Error(this.#python.errors);
      },
      { timeout: 20_000 },
    );
  }

  /** Events of one task, or of one worker. */
  of(who: string): readonly Seen[] {
    return this.seen.filter(
      ({ uuid, hostname, event }) => uuid === who || (hostname === who && event.startsWith('worker')),
    );
  }

  async state(): Promise<MonitorState> {
    const before = this.#states.length;
    this.#python.process.stdin?.write('\n');
    return eventually(() => {
      const state = this.#states[before];
      if (state === undefined) throw new Error('no state yet');
      return state;
    });
  }

  close(): Promise<void> {
    return this.#python.end('SIGKILL');
  }
}
