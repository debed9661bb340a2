import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { eventually } from './eventually.js';

/** A line of JSON that a child process said. */
export type Said = Readonly<Record<string, unknown>> & { readonly event: string };

/** A process of a spec's own that talks in lines of JSON. */
export class Child {
  readonly lines: Said[] = [];
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  #errors = '';

  constructor(file: string, env: Readonly<Record<string, string>>) {
    this.#process = spawn(process.execPath, [file], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#ended = once(this.#process, 'exit');
    if (this.#process.stdout === null) throw new Error('no output');
    createInterface({ input: this.#process.stdout }).on('line', (line) => this.lines.push(JSON.parse(line) as Said));
    this.#process.stderr?.on('data', (data: Buffer) => (this.#errors += data.toString()));
  }

  said(event: string): readonly Said[] {
    return this.lines.filter((line) => line.event === event);
  }

  /** Waits until it has said this event `times` times. */
  hears(event: string, times = 1, timeout = 10_000): Promise<readonly Said[]> {
    return eventually(
      () => {
        const said = this.said(event);
        if (said.length < times) throw new Error(`${said.length} of ${times} ${event}; ${this.#errors}`);
        return said;
      },
      { timeout },
    );
  }

  /** Ends it, if it has not ended, and waits until it is gone. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) this.#process.kill(signal);
    await this.#ended;
  }

  /** Waits for its end. */
  async gone(): Promise<{ code: number | null; signal: string | null }> {
    await this.#ended;
    return { code: this.#process.exitCode, signal: this.#process.signalCode };
  }
}
