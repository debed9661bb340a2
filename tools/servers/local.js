// Private servers out of installed binaries: each in a temporary directory of its own.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Child, run, Watcher } from './child.js';
import { AMQP_HELLO, freePort, REDIS_HELLO, waitForAnswer } from './ports.js';

/** What these servers have in common; the subclasses say what to start. */
export class LocalServer {
  directory;
  port;
  #watcher;
  #child;

  constructor(port) {
    this.port = port;
    this.directory = mkdtempSync(join(tmpdir(), 'solotask-server-'));
    this.#watcher = new Watcher(this.directory);
  }

  get pid() {
    return this.#child?.ended === false ? this.#child.pid : undefined;
  }

  /** Starts it where it was; an error takes everything of it away. */
  async start() {
    const child = new Child({ directory: this.directory, ...this.command() }, this.#watcher);
    this.#child = child;
    const failed = () => (child.ended ? `${this.name} ended while starting: ${this.explain(child.output)}` : undefined);
    try {
      await waitForAnswer({ port: this.port, ...this.hello, failed });
    } catch (error) {
      await this.stop();
      throw error;
    }
    return this;
  }

  explain(output) {
    return output;
  }

  async kill(signal = 'SIGKILL') {
    this.#child.signal(signal);
    if (signal === 'SIGKILL' || signal === 'SIGTERM') await this.#child.gone();
  }

  async restart() {
    await this.#child.end();
    await this.start();
  }

  async stop() {
    await this.#child.end();
    await this.#watcher.close();
  }
}

/** Keeps nothing on disk unless `args` say so: a restarted Redis is an empty one. */
class LocalRedis extends LocalServer {
  name = 'Redis';
  hello = REDIS_HELLO;
  #binary;
  #args;

  constructor(binary, port, { args = [] } = {}) {
    super(port);
    this.#binary = binary;
    this.#args = args;
  }

  get url() {
    return `redis://127.0.0.1:${this.port}`;
  }

  command() {
    const own = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    return { command: this.#binary, args: [...own, '--dir', this.directory, ...this.#args] };
  }
}

// The server would start an epmd that stays behind for ever; this one belongs to the server's process group.
const WITH_EPMD = `
command -v epmd >/dev/null || { echo 'epmd (of Erlang) is not in PATH'; exit 1; }
epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
until epmd -names >/dev/null 2>&1; do sleep 0.05; done
exec "$0"
`;

/**
 * RabbitMQ with an epmd of its own, so that the machine's epmd never hears of it. Queues survive a restart.
 * `script` is the plain start script; the one that Debian puts into PATH changes user and directory.
 */
class LocalRabbit extends LocalServer {
  name = 'RabbitMQ';
  hello = AMQP_HELLO;
  #script;
  #env;

  constructor(script, ports, { config = [] } = {}) {
    super(ports.amqp);
    this.#script = script;
    this.#env = rabbitEnvironment(this.directory, ports);
    writeFileSync(this.#env.RABBITMQ_ENABLED_PLUGINS_FILE, '[].\n');
    writeFileSync(this.#env.RABBITMQ_CONFIG_FILE, ['disk_free_limit.absolute = 50MB', ...config, ''].join('\n'));
  }

  get url() {
    return `amqp://guest:guest@127.0.0.1:${this.port}`;
  }

  command() {
    return { command: '/bin/sh', args: ['-c', WITH_EPMD, this.#script], env: this.#env };
  }

  explain(output) {
    if (output !== '') return output;
    const logs = readdirSync(this.directory, { recursive: true }).filter((file) => file.endsWith('.log'));
    return logs.map((file) => readFileSync(join(this.directory, file), 'utf8').slice(-1000)).join('\n');
  }

  async ctl(...args) {
    const { ok, output } = await run(join(dirname(this.#script), 'rabbitmqctl'), args, { env: this.#env });
    if (!ok) throw new Error(`rabbitmqctl ${args.join(' ')}: ${output}`);
    return output;
  }
}

const rabbitEnvironment = (directory, ports) => ({
  HOME: directory,
  ERL_EPMD_PORT: String(ports.epmd),
  ERL_EPMD_ADDRESS: '127.0.0.1',
  RABBITMQ_NODENAME: `solotask-${ports.amqp}@localhost`,
  RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
  RABBITMQ_NODE_PORT: String(ports.amqp),
  RABBITMQ_DIST_PORT: String(ports.distribution),
  RABBITMQ_MNESIA_BASE: join(directory, 'data'),
  RABBITMQ_LOG_BASE: join(directory, 'log'),
  RABBITMQ_PID_FILE: join(directory, 'pid'),
  RABBITMQ_CONF_ENV_FILE: '/dev/null',
  RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
  RABBITMQ_ADVANCED_CONFIG_FILE: join(directory, 'advanced.config'),
  RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
  // Schedulers that spin while idle would take the processor from what is tested.
  RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
    '+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}',
});

export const startLocalRedis = async (binary, options) => new LocalRedis(binary, await freePort(), options).start();

export async function startLocalRabbit(script, options) {
  const ports = { amqp: await freePort(), distribution: await freePort(), epmd: await freePort() };
  return new LocalRabbit(script, ports, options).start();
}
