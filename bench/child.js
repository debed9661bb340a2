// A side of the comparison, as the benchmark sees it: a process that answers.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** ms; a million messages take a while. */
const PATIENCE = 600_000;
const CLOSING = 15_000;
/** As docs/operations.md advises for a worker: without it V8 gives the memory for young objects back while others have their turn. */
const FLAGS = ['--expose-gc', '--min-semi-space-size=16'];
const SCRIPT = fileURLToPath(new URL('side.js', import.meta.url));

export class Child {
  name;
  #process;
  #asked = 0;
  #open = new Map();

  constructor(name, { profile } = {}) {
    this.name = name;
    const profiler = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
    // What a side prints must not get into the JSON.
    const stdio = ['ignore', 2, 2, 'ipc'];
    this.#process = fork(SCRIPT, [name], { execArgv: [...FLAGS, ...profiler], stdio });
    this.#process.on('message', (answer) => this.#hear(answer));
    this.#process.once('exit', (code, signal) => this.#lost(`${name} ended with ${code ?? signal}`));
  }

  /** Asks it to do something; rejects when that fails, or when a task is waited for that does not come. */
  async call(method, args, patience = PATIENCE) {
    const id = ++this.#asked;
    const answer = new Promise((resolve, reject) => this.#open.set(id, { resolve, reject }));
    const text = `no end of '${method}' within ${patience / 1000} s; was a task lost?`;
    const timer = setTimeout(() => this.#hear({ id, error: text }), patience);
    if (this.#process.connected) this.#process.send({ id, method, args });
    else this.#lost(`${this.name} is gone`);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Closes what it has open, and ends it. */
  async end() {
    if (!this.#process.connected) return;
    const gone = once(this.#process, 'exit');
    const impatience = setTimeout(() => this.#process.kill('SIGKILL'), 2 * CLOSING);
    try {
      await this.call('close', undefined, CLOSING);
    } finally {
      if (this.#process.connected) this.#process.disconnect();
      await gone;
      clearTimeout(impatience);
    }
  }

  #hear({ id, result, error }) {
    const waiting = this.#open.get(id);
    this.#open.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(`${this.name}: ${error}`));
  }

  #lost(why) {
    for (const { reject } of this.#open.values()) reject(new Error(why));
    this.#open.clear();
  }
}
