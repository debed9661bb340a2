// The parts of redlock 5.0.0-beta.2 that are used here. Its own declarations are not found under `nodenext`: its
// exports map names no types.
declare module 'redlock' {
  import type { EventEmitter } from 'node:events';
  import type { Redis } from 'ioredis';

  export interface ExecutionStats {
    readonly votesFor: ReadonlySet<Redis>;
    readonly votesAgainst: ReadonlyMap<Redis, Error>;
  }

  export class ExecutionError extends Error {
    /** One for each attempt; resolves when every node has answered. */
    readonly attempts: readonly Promise<ExecutionStats>[];
  }

  export class Lock {
    constructor(redlock: Redlock, resources: string[], value: string, attempts: [], expiration: number);
  }

  export default class Redlock extends EventEmitter {
    constructor(
      clients: Iterable<Redis>,
      settings: { retryCount: number },
      scripts: { extendScript?: () => string; releaseScript?: () => string },
    );
    extend(lock: Lock, duration: number): Promise<Lock>;
    release(lock: Lock): Promise<unknown>;
  }
}
