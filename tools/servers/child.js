// Processes of ours: started, signalled and ended by pid, and never outliving this process.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

// The watcher reads a pipe that only this process writes to: the server's pid at each start, an empty line when it has
// ended. The pipe ends when this process does, whatever killed it; then the watcher ends the server and removes its
// directory.
const WATCH = `
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
  kill -TERM "$pid"
  for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$pid" || break; sleep 1; done
  kill -KILL -"$pid"
fi
directory=$1
shift
"$@"
rm -rf "$directory"
`;

/**
 * When asked to, or when this process is gone: ends the last of the watched pids, runs `farewell` (a command and its
 * arguments) and removes `directory`.
 */
export class Watcher {
  #process;

  constructor(directory, farewell = [], env = {}) {
    const args = ['-c', WATCH, 'watch', directory, ...farewell];
    const stdio = ['pipe', 'ignore', 'ignore'];
    this.#process = spawn('/bin/sh', args, { stdio, env: environment(env), detached: true, cwd: '/' });
    this.#process.unref();
    this.#process.stdin.unref();
    this.#process.stdin.on('error', () => {});
  }

  watch(pid) {
    this.#process.stdin.write(`${pid ?? ''}\n`);
  }

  async close() {
    this.#process.ref();
    this.#process.stdin.end();
    if (this.#process.exitCode === null) await once(this.#process, 'exit');
  }
}

const environment = (own) => ({ PATH: process.env.PATH, LANG: 'C.UTF-8', ...own });

/**
 * Starts `command` in a process group of its own, with `env` and nothing of the caller's environment but PATH, as `user`
 * (`{ uid, gid }`) if given. Does not keep this process alive.
 */
export class Child {
  #process;
  #gone;
  #output = '';

  constructor({ command, args, directory, env, user = {} }, watcher) {
    const stdio = ['ignore', 'pipe', 'pipe'];
    const own = environment({ HOME: directory, ...env });
    this.#process = spawn(command, args, { cwd: directory, env: own, stdio, detached: true, ...user });
    this.#gone = new Promise((resolve) => {
      this.#process.once('exit', resolve);
      this.#process.once('error', resolve);
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (text) => (this.#output = (this.#output + text).slice(-2000)));
      stream.unref();
    }
    this.#process.unref();
    watcher.watch(this.pid);
    this.#process.once('exit', () => {
      this.#signalGroup('SIGKILL');
      watcher.watch(undefined);
    });
  }

  get pid() {
    return this.#process.pid;
  }

  get ended() {
    return this.pid === undefined || this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** The last lines that the process printed. */
  get output() {
    return this.#output.trim();
  }

  #signalGroup(name) {
    try {
      process.kill(-this.pid, name);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }

  /** TERM goes to the process, which ends the others; what cannot be caught goes to its whole group. */
  signal(name) {
    if (this.ended) return;
    if (name === 'SIGTERM') this.#process.kill(name);
    else this.#signalGroup(name);
  }

  /** Resolves when the process is gone. */
  async gone() {
    if (this.ended) return;
    this.#process.ref();
    await this.#gone;
  }

  /** TERM, and KILL when that has not helped within 15 s; resolves when the process is gone. */
  async end() {
    this.signal('SIGCONT');
    this.signal('SIGTERM');
    const impatience = setTimeout(() => this.signal('SIGKILL'), 15_000);
    await this.gone();
    clearTimeout(impatience);
  }
}

/** Runs `command` to its end; resolves with whether its status was 0 and all that it printed. Never rejects. */
export async function run(command, args, { env, user = {}, timeout = 30_000 } = {}) {
  const stdio = ['ignore', 'pipe', 'pipe'];
  const child = spawn(command, args, {
    env: env === undefined ? process.env : environment(env),
    stdio,
    timeout,
    ...user,
  });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  child.stderr.on('data', (text) => (output += text));
  const [status] = await once(child, 'close').catch((error) => [String(error)]);
  return { ok: status === 0, output: output.trim() };
}
