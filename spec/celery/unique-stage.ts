import { createApp, Task, taskContext, type App, type LockRecord } from 'solotask';
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import type { Guard } from '../../lib/guard.js';
import { createRedlockGuard } from '../../lib/guards/redlock.js';
import { CeleryPeer, CeleryWorker, type CeleryOptions } from '../support/celery.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

/** One for all specs: each namespace has some twenty queues for delays. */
export const NAMESPACE = uniqueName('celery');

/** What a body of unique_tasks.py tells. */
export interface Told {
  readonly event: 'begin' | 'end' | 'lost';
  readonly id: string;
  readonly args: readonly unknown[];
  readonly fence: number;
}

/** What a Python caller of a unique task gets. */
export interface PythonReceipt {
  readonly id: string;
  readonly status: 'enqueued' | 'discarded' | 'coalesced';
}

/** The tasks of unique_tasks.py in TypeScript; each body notes its arguments and waits to be let pass. */
export function nodeLoans(queue: string) {
  const waiting = new Map<number, (() => void)[]>();
  const runs: { id: string; args: readonly unknown[]; fence: number | undefined }[] = [];
  const body = async (loan: number, ...args: readonly unknown[]): Promise<void> => {
    const { id, fence } = taskContext();
    runs.push({ id, args: [loan, ...args], fence });
    await new Promise<void>((resolve) => waiting.set(loan, [...(waiting.get(loan) ?? []), resolve]));
  };
  /** Lets the body of a loan end that began last. */
  const pass = (loan: number): void => waiting.get(loan)?.pop()?.();
  class Loans {
    @Task({ name: 'loans.discard', queue, unique: { key: 'loan:<loanId>', lease: '2s' } })
    async discard(loanId: number, rate?: number) {
      await body(loanId, rate);
    }
    @Task({ name: 'loans.coalesce', queue, unique: { key: 'loan:<loanId>', onDuplicate: 'coalesce', lease: '2s' } })
    async coalesce(loanId: number, rate?: number) {
      await body(loanId, rate);
    }
    @Task({ name: 'loans.failing', queue, unique: 'loan:<loanId>' })
    async failing(loanId: number, rate?: number) {
      await body(loanId, rate);
    }
  }
  return { Loans, pass, runs };
}

let loans = 0;
/** A loan that no other spec knows. */
export const freshLoan = (): number => ++loans;

/** One classic queue that Celery declared, a Python client of the unique tasks, and what was told by their bodies. */
export class UniqueStage {
  readonly queue = uniqueName('queue');
  readonly redis = new Redis(testRedisUrl(), { lazyConnect: true });
  readonly guard: Guard = createRedlockGuard({ nodes: [this.redis], clock: systemClock });
  readonly #module: string;
  #peer: CeleryPeer | undefined;
  readonly #apps: App[] = [];
  readonly #workers: CeleryWorker[] = [];

  /** `module`: the Python file with the app. */
  constructor(module = 'unique_tasks') {
    this.#module = module;
  }

  /** Of a Python process that belongs here. */
  options(env: Readonly<Record<string, string>> = {}): CeleryOptions & { module: string } {
    const own = { SPEC_NAMESPACE: NAMESPACE, SPEC_MODULE: this.#module };
    return { queue: this.queue, module: this.#module, env: { ...own, ...env } };
  }

  async open(): Promise<void> {
    await this.guard.connect(10_000);
    await this.redis.connect();
    this.#peer = new CeleryPeer(this.options());
    await this.peer.ask('declare', { queue: this.queue });
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.end()));
    await Promise.all(this.#apps.map((app) => app.close()));
    await this.#peer?.close();
    await this.guard.close();
    this.redis.disconnect();
  }

  get peer(): CeleryPeer {
    if (this.#peer === undefined) throw new Error('the stage is not open');
    return this.#peer;
  }

  app(services: readonly (abstract new () => object)[]): App {
    const queues = { [this.queue]: { passive: true } };
    const links = { broker: testAmqpUrl(), locks: testRedisUrl() };
    const app = createApp({ ...links, services, queues, namespace: NAMESPACE });
    this.#apps.push(app);
    return app;
  }

  /** A Celery worker of the unique tasks, ready. */
  async worker(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CeleryWorker> {
    const worker = new CeleryWorker({ ...this.options(env), args });
    this.#workers.push(worker);
    await worker.ready();
    return worker;
  }

  /** An enqueue by Python. */
  enqueue(task: string, args: readonly unknown[], options?: object): Promise<PythonReceipt> {
    return this.peer.ask<PythonReceipt>('enqueue', { task, args, ...(options === undefined ? {} : { options }) });
  }

  /** What Python's bodies told of a loan. */
  async told(loan: number): Promise<readonly Told[]> {
    const lines = await this.redis.lrange(`spec:${this.queue}:told`, 0, -1);
    return lines.map((line) => JSON.parse(line) as Told).filter(({ args }) => args[0] === loan);
  }

  /** Waits until Python's bodies of a loan have told so many lines. */
  tells(loan: number, count: number, timeout = 10_000): Promise<readonly Told[]> {
    return eventually(
      async () => {
        const told = await this.told(loan);
        if (told.length < count) throw new Error(`${told.length} of ${count} lines of loan ${loan}`);
        return told;
      },
      { timeout },
    );
  }

  /** Lets one of Python's bodies of a loan end. */
  async pass(loan: number): Promise<void> {
    await this.redis.rpush(`spec:${this.queue}:gate:${loan}`, 'go');
  }

  record(task: string, loan: number): Promise<LockRecord | undefined> {
    return this.guard.read(`${NAMESPACE}:lock:${task}:loan:${loan}`);
  }

  /** Waits until nobody has the key. */
  free(task: string, loan: number, timeout = 10_000): Promise<LockRecord> {
    return eventually(
      async () => {
        const record = await this.record(task, loan);
        if (record === undefined || record.owner !== undefined) throw new Error(`${record?.owner} has the key`);
        return record;
      },
      { timeout },
    );
  }
}
