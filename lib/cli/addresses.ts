import type { App } from '../app.js';
import { ConfigError } from '../errors.js';

/**
 * Gives the app AMQP_URL and REDIS_URL (comma-separated for a quorum) where its code leaves broker or locks open.
 * @throws ConfigError for `memory:`, and where neither says anything.
 */
export function settleAddresses(app: App, env: NodeJS.ProcessEnv): void {
  const nodes = (env['REDIS_URL'] ?? '').split(',').map((node) => node.trim());
  const urls = nodes.filter((node) => node !== '');
  app.defaults({ broker: env['AMQP_URL']?.trim(), locks: urls.length > 1 ? urls : urls[0] });
  const { broker, locks } = app.addresses;
  require(broker, 'broker', 'AMQP_URL (amqp://user:password@host:5672/vhost)');
  require(locks, 'locks', 'REDIS_URL (redis://host:6379)');
}

function require(value: unknown, what: 'broker' | 'locks', variable: string): void {
  if (value === undefined || value === '') {
    throw new ConfigError(`the app has no ${what}: set ${variable}, or ${what} in createApp`, { option: what });
  }
  if (value !== 'memory:') return;
  const why = 'nobody outside this process could reach it, so there would be nothing to consume';
  throw new ConfigError(`${what}: 'memory:' is for tests in one process: ${why}; set ${variable}`, { option: what });
}
