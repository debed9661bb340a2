export * from './errors.js';
export { Key } from './decorators/key.js';
export { ShouldCompute } from './decorators/should-compute.js';
export { Task } from './decorators/task.js';
export type { Duration } from './duration.js';
export type { KeyFunction, KeySource, KeyValue } from './key-value.js';
export type { RetryOptions } from './retry-policy.js';
export type { ShouldComputeOptions, TaskOptions, UniqueOptions } from './task-options.js';
