import { Inject, Injectable, Module, type OnApplicationBootstrap, type OnApplicationShutdown } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { App, createApp } from 'solotask';
import { LoanService, PaymentService, RateProvider } from './loans.js';

/** Links open when Nest has started, and close when it ends, after what was enqueued is confirmed. */
@Injectable()
export class TasksLifecycle implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #app: App;

  constructor(@Inject(App) app: App) {
    this.#app = app;
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.#app.connect();
  }

  /** Stops the workers too: what runs may finish within 25 seconds. */
  async onApplicationShutdown(): Promise<void> {
    await this.#app.close();
  }
}

/** `strict: false` finds providers of every module. */
const app = {
  provide: App,
  inject: [ModuleRef],
  useFactory: (modules: ModuleRef): App =>
    createApp({
      broker: process.env.AMQP_URL ?? 'memory:',
      locks: process.env.REDIS_URL ?? 'memory:',
      services: [LoanService],
      container: { get: (service) => modules.get(service, { strict: false }) },
    }),
};

@Module({ providers: [RateProvider, LoanService, PaymentService, app, TasksLifecycle], exports: [App] })
export class TasksModule {}
