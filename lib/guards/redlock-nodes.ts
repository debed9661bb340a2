import type { Duplex } from 'node:stream';
import { Redis, type RedisOptions } from 'ioredis';
import type { Clock } from '../clock.js';
import { gatherWrites } from '../gather-writes.js';
import { AccessRefusedError, ClosedError, ConfigError, LockUnavailableError } from '../errors.js';
import { bare, LOGIN_REFUSED, maskedRedisUrl, parseRedisUrl } from '../redis-node.js';

/** A node that is down or hangs must answer "I do not know" in a quarter of a second, not hold its caller for ever. */
const OPTIONS = {
  commandTimeout: 250,
  connectTimeout: 1000,
  socketTimeout: 2000,
  disconnectTimeout: 250,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  lazyConnect: true,
  retryStrategy: (times: number) => Math.min(times * 50, 1000),
} satisfies RedisOptions;

/** What the nodes tell, as `Guard.listen` takes it. */
export interface NodeEvents {
  available(error: Error | undefined): void;
  warn(text: string): void;
}

interface Node {
  readonly client: Redis;
  readonly address: string;
}

function open(node: string | Redis): Node {
  if (typeof node === 'string')
    return { client: new Redis(node, OPTIONS), address: maskedRedisUrl(parseRedisUrl(node, 'locks')) };
  const { host = 'localhost', port = 6379, path } = node.options;
  return { client: node.duplicate(OPTIONS), address: path ?? `redis://${host}:${port}` };
}

/** Each connection has another one; a client knows its own from `connect` on, and a Cluster has none. */
const streamOf = (client: Redis): Duplex | undefined => (client as unknown as { stream?: Duplex }).stream;

/** The connections to the Redis nodes, and whether more than half of them are ready. */
export class RedlockNodes {
  readonly address: string;
  readonly clients: readonly Redis[];
  readonly #nodes: readonly Node[];
  /** Looked at by an earlier connect: what there was to say of them was said. */
  readonly #inspected = new Set<Node>();
  #events: NodeEvents | undefined;
  #connected = false;
  #lost = false;
  #closed = false;
  #trouble: Error | undefined;
  #wake: () => void = () => {};

  constructor(nodes: readonly (string | Redis)[]) {
    for (const node of nodes) if (typeof node === 'string') parseRedisUrl(node, 'locks');
    this.#nodes = nodes.map(open);
    this.clients = this.#nodes.map(({ client }) => client);
    this.address = this.#nodes.map(({ address }) => address).join(', ');
    for (const client of this.clients) this.#watch(client);
  }

  listen(events: NodeEvents): void {
    this.#events = events;
  }

  /** Why a command cannot reach a quorum now; undefined when it can. */
  unavailable(): Error | undefined {
    if (this.#closed) return new ClosedError('the locks were closed');
    let ready = 0;
    for (const { status } of this.clients) if (status === 'ready') ready += 1;
    if (ready * 2 > this.clients.length) return undefined;
    const text = this.#trouble?.message ?? 'not connected';
    return new LockUnavailableError(
      `Redis at ${this.address} cannot be reached: ${text}`,
      { address: this.address },
      this.#trouble,
    );
  }

  /** Resolves when a quorum is ready and fit; see `Guard.connect`. */
  async connect(timeout: number, clock: Clock): Promise<void> {
    for (const client of this.clients) if (client.status === 'wait') client.connect().catch(() => {});
    try {
      await this.#ready(timeout, clock);
    } catch (error) {
      // Who goes on without it is told when it comes.
      this.#connected = this.#lost = true;
      throw error;
    }
    for (const node of this.#nodes) {
      if (node.client.status === 'ready' && !this.#inspected.has(node)) await this.#inspect(node);
    }
    this.#connected = true;
  }

  /** Commands sent before are still answered; `idle`: a script that a node does not know is sent to it once more. */
  async close(idle: Promise<unknown>): Promise<void> {
    this.#closed = true;
    this.#wake();
    await idle;
    const ready = this.clients.filter(({ status }) => status === 'ready');
    await Promise.allSettled(ready.map((client) => client.quit()));
    for (const client of this.clients) if (client.status !== 'end') client.disconnect();
  }

  #watch(client: Redis): void {
    client.on('connect', () => {
      const stream = streamOf(client);
      if (stream !== undefined) gatherWrites(stream);
    });
    client.on('error', (error: Error) => {
      this.#trouble = bare(error);
      this.#wake();
    });
    client.on('ready', () => this.#changed());
    client.on('close', () => this.#changed());
  }

  #changed(): void {
    this.#wake();
    const error = this.unavailable();
    if (error === undefined) this.#trouble = undefined;
    if (this.#closed || !this.#connected || this.#lost === (error !== undefined)) return;
    this.#lost = error !== undefined;
    this.#events?.available(error);
  }

  #ready(timeout: number, clock: Clock): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error: Error | undefined): void => {
        timer.cancel();
        this.#wake = () => {};
        if (error === undefined) resolve();
        else reject(error);
      };
      const timer = clock.after(timeout, () => end(this.unavailable()));
      this.#wake = () => {
        const error = this.unavailable();
        if (error === undefined || error instanceof ClosedError) end(error);
        else if (LOGIN_REFUSED.test(this.#trouble?.message ?? ''))
          end(new AccessRefusedError(error.message, { address: this.address }, this.#trouble));
      };
      this.#wake();
    });
  }

  /** Old versions lack what the scripts use; evicting ones forget who holds a key. */
  async #inspect(node: Node): Promise<void> {
    const { client, address } = node;
    const info = await client.info().catch(() => undefined);
    if (info === undefined) return this.#events?.warn(`Redis at ${address} does not tell its version (INFO)`);
    const [, version = '0', major = 0, minor = 0] = /redis_version:((\d+)\.(\d+)\S*)/.exec(info) ?? [];
    if (Number(major) * 100 + Number(minor) < 602)
      throw new ConfigError(`Redis at ${address} is ${version}; solotask needs 6.2 or later`, { address, version });
    this.#inspected.add(node);
    const policy = /maxmemory_policy:(\S+)/.exec(info)?.[1] ?? 'noeviction';
    if (policy !== 'noeviction')
      this.#events?.warn(`Redis at ${address} may evict locks (maxmemory-policy ${policy}): set it to noeviction`);
  }
}
