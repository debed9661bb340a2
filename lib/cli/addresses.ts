import type { App } from '../app/app.js';
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
  demand(broker, 'broker', 'AMQP_URL (amqp://user:password@host:5672/vhost)');
  demand(locks, 'locks', 'REDIS_URL (redis://host:6379)');
}

function demand(value: unknown, what: 'broker' | 'locks', variable: string): void {
  if (value === undefined || value === '') {
    throw new ConfigError(`the app has no ${what}: set ${variable}, or ${what} in createApp`, { option: what });
  }
  if (value !== 'memory:') return;
  const why = 'no other process can reach it, so a task-worker on it is of no use';
  throw new ConfigError(`${what}: 'memory:' lives inside one process: ${why}; set ${variable}`, { option: what });
}
