import 'reflect-metadata';
import { createApp, type Container } from 'solotask';
import { container, type InjectionToken } from 'tsyringe';
import { LoanService } from './loans.js';

/** tsyringe's verb is `resolve`. */
const instances: Container = { get: (service) => container.resolve(service as InjectionToken<object>) };

export default createApp({
  broker: process.env.AMQP_URL ?? 'memory:',
  locks: process.env.REDIS_URL ?? 'memory:',
  services: [LoanService],
  container: instances,
});
