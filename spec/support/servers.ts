import { randomUUID } from 'node:crypto';

/** Servers of a spec's own, to be killed and restarted; `stop()` them in an `after` hook. */
export {
  startPostgres,
  startRabbit,
  startRedis,
  startServers,
  type RabbitServer,
  type Server,
  type Servers,
} from '#servers';

/** No spec is skipped for want of a server: without one it fails, and says why. */
function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === '') throw new Error(`${name} is not set: run the specs by \`npm test\``);
  return value;
}

/** The RabbitMQ that all specs share. Use queues and namespaces of `uniqueName`. */
export const testAmqpUrl = (): string => required('SOLOTASK_TEST_AMQP_URL');

/** The Redis that all specs share. Never flush it; use namespaces of `uniqueName`. */
export const testRedisUrl = (): string => required('SOLOTASK_TEST_REDIS_URL');

/** A name that nobody else uses, for queues, namespaces and keys. */
export const uniqueName = (prefix: string): string => `${prefix}-${randomUUID().slice(0, 8)}`;
