interface Servers {
  readonly env: NodeJS.ProcessEnv;
  stop(): Promise<unknown>;
}

/** tools/servers.js of this repository, outside of what the compiler sees. */
interface ServersModule {
  readonly startServers: (options: { rabbit: 0 | 1; redis: 0 | 1 }) => Promise<Servers>;
}

/**
 * Puts the addresses of broker and locks where app.ts reads them: the embedded parts, or servers. Those that the
 * environment does not name are started, on free ports, and stopped by `stop()`.
 */
export async function prepareParts(onServers: boolean): Promise<{ stop: () => Promise<unknown> }> {
  const { AMQP_URL, REDIS_URL } = process.env;
  if (!onServers) {
    Object.assign(process.env, { AMQP_URL: 'memory:', REDIS_URL: 'memory:' });
    return { stop: () => Promise.resolve() };
  }
  if (AMQP_URL && REDIS_URL) return { stop: () => Promise.resolve() };
  const tools = new URL('../../../tools/servers.js', import.meta.url).href;
  const { startServers } = (await import(tools)) as ServersModule;
  const servers = await startServers({ rabbit: AMQP_URL ? 0 : 1, redis: REDIS_URL ? 0 : 1 });
  Object.assign(process.env, servers.env, AMQP_URL && { AMQP_URL }, REDIS_URL && { REDIS_URL });
  return { stop: () => servers.stop() };
}
