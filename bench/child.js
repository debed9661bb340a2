// A side of the comparison, as the benchmark sees it: a process that answers.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

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
    this.#process = fork(SCRIPT, [name], { execArgv: ['--expose-gc', ...profiler], stdio });
    this.#process.on('message', (answer) => this.#hear(answer));
    this.#process.once('exit', (code, signal) => this.#lost(`${name} ended with ${code ?? signal}`));
  }

  /** Asks it to do something; rejects when that fails. */
  call(method, args) {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      if (this.#process.connected) this.#process.send({ id, method, args });
      else this.#lost(`${this.name} is gone`);
    });
  }

  /** Closes what it has open, and ends it. */
  async end() {
    if (!this.#process.connected) return;
    const gone = once(this.#process, 'exit');
    try {
      await this.call('close');
    } finally {
      this.#process.disconnect();
      await gone;
    }
  }

  #hear({ id, result, error }) {
    const { resolve, reject } = this.#open.get(id);
    this.#open.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(`${this.name}: ${error}`));
  }

  #lost(why) {
    for (const { reject } of this.#open.values()) reject(new Error(why));
    this.#open.clear();
  }
}
