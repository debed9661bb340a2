import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { pause, systemClock } from '../../lib/clock.js';
import { machineTime } from './books.js';

/** A process that was stopped for a while, by machineTime. */
export interface Nap {
  readonly process: string;
  readonly from: number;
  readonly to: number;
}

/** What became of all processes. */
export class Chronicle {
  readonly deaths = new Map<string, number>();
  readonly naps: Nap[] = [];
  /** Who ended though nobody asked for it. */
  readonly collapses: string[] = [];
  #born = 0;

  name(role: string): string {
    return `${role} ${++this.#born}`;
  }
}

/** A process that is started again when it was killed. */
export class Seat {
  readonly #role: 'producer' | 'worker';
  readonly #env: Readonly<Record<string, string>>;
  readonly #chronicle: Chronicle;
  #name = '';
  #child: ChildProcess | undefined;
  #asked = false;

  constructor(role: 'producer' | 'worker', env: Readonly<Record<string, string>>, chronicle: Chronicle) {
    this.#role = role;
    this.#env = env;
    this.#chronicle = chronicle;
  }

  start(): void {
    const name = this.#chronicle.name(this.#role);
    const env = { ...process.env, ...this.#env, ROLE: this.#role, NAME: name };
    const child = fork(new URL('member.js', import.meta.url), { env });
    this.#name = name;
    this.#child = child;
    this.#asked = false;
    child.once('exit', (code, signal) => {
      if (this.#child !== child || !this.#asked)
        this.#chronicle.collapses.push(`${name} ended by itself (${code ?? signal})`);
    });
  }

  /** Resolves when it is gone, with its exit code. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    this.#asked = true;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
    if (signal === 'SIGKILL') this.#chronicle.deaths.set(this.#name, machineTime());
    return child.exitCode;
  }

  /** A process of its own wakes it, also when this one is gone by then. */
  async nap(ms: number): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null) return;
    const from = machineTime();
    const seconds = (ms / 1_000).toFixed(3);
    const text = `kill -STOP ${child.pid}; sleep ${seconds}; kill -CONT ${child.pid}`;
    const waker = spawn('/bin/sh', ['-c', text], { stdio: 'ignore', detached: true });
    await once(waker, 'exit');
    this.#chronicle.naps.push({ process: this.#name, from, to: machineTime() });
  }
}

/** Ends as `SIGTERM` asks for it, or after `ms` by force. */
export async function dismiss(seats: readonly Seat[], ms: number): Promise<(number | null)[]> {
  const late = new AbortController();
  const force = pause(systemClock, ms, late.signal).then(() =>
    late.signal.aborted ? [] : Promise.all(seats.map((seat) => seat.end('SIGKILL'))),
  );
  const codes = await Promise.all(seats.map((seat) => seat.end('SIGTERM')));
  late.abort();
  await force;
  return codes;
}
