// Private servers out of compose.yaml, for machines with a Docker engine: one compose project a server.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, Watcher } from './child.js';
import { AMQP_HELLO, freePort, REDIS_HELLO, waitForAnswer } from './ports.js';

const COMPOSE = ['compose', '-f', fileURLToPath(new URL('../../compose.yaml', import.meta.url))];

export async function dockerWorks() {
  const answers = await Promise.all([
    run('docker', ['info'], { timeout: 10_000 }),
    run('docker', ['compose', 'version'], { timeout: 10_000 }),
  ]);
  return answers.every(({ ok }) => ok);
}

class DockerServer {
  port;
  url;
  /** A container's processes are not this machine's. */
  pid = undefined;
  #service;
  #hello;
  #env;
  #watcher;

  constructor({ service, port, url, hello, directory, env }) {
    this.port = port;
    this.url = url;
    this.#service = service;
    this.#hello = hello;
    this.#env = { ...process.env, COMPOSE_PROJECT_NAME: `solotask-${port}`, ...env };
    const farewell = ['docker', ...COMPOSE, 'down', '--volumes', '--timeout', '5'];
    this.#watcher = new Watcher(directory, farewell, this.#env);
  }

  async compose(...args) {
    const { ok, output } = await run('docker', [...COMPOSE, ...args], { env: this.#env, timeout: 300_000 });
    if (!ok) throw new Error(`docker compose ${args.join(' ')}: ${output}`);
    return output;
  }

  async start() {
    try {
      await this.compose('up', '--detach', this.#service);
      await waitForAnswer({ port: this.port, ...this.#hello, failed: () => undefined });
    } catch (error) {
      await this.stop();
      throw error;
    }
    return this;
  }

  async kill(signal = 'SIGKILL') {
    if (signal === 'SIGSTOP') await this.compose('pause', this.#service);
    else if (signal === 'SIGCONT') await this.compose('unpause', this.#service);
    else await this.compose('kill', '--signal', signal, this.#service);
  }

  async restart() {
    await this.compose('stop', this.#service);
    await this.start();
  }

  async stop() {
    await this.#watcher.close();
  }

  ctl(...args) {
    return this.compose('exec', '-T', this.#service, 'rabbitmqctl', ...args);
  }
}

const temporaryDirectory = () => mkdtempSync(join(tmpdir(), 'solotask-server-'));

export async function startDockerRedis({ args = [] } = {}) {
  const port = await freePort();
  const env = { SOLOTASK_REDIS_PORT: String(port), SOLOTASK_REDIS_ARGS: args.join(' ') };
  const url = `redis://127.0.0.1:${port}`;
  const redis = { service: 'redis', port, url, hello: REDIS_HELLO, directory: temporaryDirectory(), env };
  return new DockerServer(redis).start();
}

export async function startDockerRabbit({ config = [] } = {}) {
  const port = await freePort();
  const directory = temporaryDirectory();
  const file = join(directory, 'solotask.conf');
  writeFileSync(file, [...config, ''].join('\n'), { mode: 0o644 });
  const env = { SOLOTASK_AMQP_PORT: String(port), SOLOTASK_RABBITMQ_CONFIG: file };
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  return new DockerServer({ service: 'rabbitmq', port, url, hello: AMQP_HELLO, directory, env }).start();
}
