// Celery, in a Python of its own: celery_peer.py does the work and keeps the time, lines of JSON go to and fro.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../celery_peer.py', import.meta.url));

export class Side {
  #process;
  #lines;
  #directory = mkdtempSync(join(tmpdir(), 'solotask-bench-'));

  async open({ amqpUrl, redisUrl, python }) {
    const runs = join(this.#directory, 'runs');
    const env = { ...process.env, BENCH_AMQP: amqpUrl, BENCH_REDIS: redisUrl, BENCH_RUNS: runs };
    const own = { ...env, PYTHONDONTWRITEBYTECODE: '1' };
    this.#process = spawn(python, [SCRIPT], { env: own, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    await this.#ask('open');
  }

  async #ask(method, args = {}) {
    this.#process.stdin.write(`${JSON.stringify({ method, args })}\n`);
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('Python is gone');
    const { result, error } = JSON.parse(value);
    if (error !== undefined) throw new Error(error);
    return result;
  }

  enqueue(args) {
    return this.#ask('enqueue', args);
  }

  work({ first, operations }) {
    return this.#ask('work', { first, operations });
  }

  async close() {
    if (this.#process !== undefined) {
      await this.#ask('close');
      this.#process.stdin.end();
      await once(this.#process, 'exit');
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
