import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TasksModule } from './tasks.module.js';

@Module({ imports: [TasksModule] })
class AppModule {}

/** A context without HTTP, for a worker or a script; a web application is made by `NestFactory.create` in its place. */
export const createContext = () =>
  NestFactory.createApplicationContext(AppModule, { logger: ['log', 'warn', 'error'] });
