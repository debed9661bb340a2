import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { App } from '../app/app.js';
import type { AppWorker } from '../app/worker-handle.js';
import { toError } from '../errors.js';
import type { Health } from '../health.js';
import { codeOf, UsageError } from './exit.js';

/** Why a port cannot be had, where the driver's code says so. */
const REFUSALS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there',
  EACCES: 'this user may not listen there',
};

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';

/** What is answered. */
interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/**
 * `/livez`, `/readyz` and `/metrics` of a worker, on all interfaces: a probe asks the address of the pod. It answers
 * while the app is being loaded and connected as well.
 */
export class HealthServer {
  readonly #server: Server;
  #app: App | undefined;
  #worker: AppWorker | undefined;

  constructor() {
    this.#server = createServer((request, response) => void this.#handle(request, response));
    // The worker decides when the process ends.
    this.#server.unref();
  }

  /** Resolves to the port that was taken; 0 takes any. @throws UsageError */
  async listen(port: number): Promise<number> {
    this.#server.listen(port);
    try {
      await once(this.#server, 'listening');
    } catch (thrown) {
      const error = toError(thrown);
      const why = REFUSALS[codeOf(error) ?? ''] ?? error.message;
      throw new UsageError(`--health-port ${port}: ${why}`, error);
    }
    return (this.#server.address() as AddressInfo).port;
  }

  /** Speaks of these from now on. */
  watch(app: App, worker: AppWorker): void {
    this.#app = app;
    this.#worker = worker;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #handle({ method = '', url = '/' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, type, body } = await this.#answer(method, url.split('?')[0] ?? '/').catch(failed);
    response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' });
    response.end(method === 'HEAD' ? undefined : body);
  }

  async #answer(method: string, path: string): Promise<Answer> {
    if (method !== 'GET' && method !== 'HEAD') return { status: 405, type: TEXT, body: 'GET or HEAD\n' };
    switch (path) {
      case '/livez':
        // That it is answered says all: the loop turns.
        return { status: 200, type: TEXT, body: 'ok\n' };
      case '/readyz':
        return readiness(this.#health());
      case '/metrics':
        return this.#metrics();
      default:
        return { status: 404, type: TEXT, body: 'There are /livez, /readyz and /metrics.\n' };
    }
  }

  #health(): Health {
    if (this.#app === undefined) return { ready: false, reasons: ['the app is being loaded'] };
    const health = this.#app.health();
    const unborn = health.ready && this.#worker?.state === 'new';
    return unborn ? { ready: false, reasons: ['the worker has not been started'] } : health;
  }

  async #metrics(): Promise<Answer> {
    if (this.#app === undefined) return { status: 503, type: TEXT, body: 'the app is being loaded\n' };
    const metrics = await this.#app.metrics();
    return { status: 200, type: metrics.contentType, body: await metrics.text() };
  }
}

const readiness = (health: Health): Answer => ({
  status: health.ready ? 200 : 503,
  type: JSON_TYPE,
  body: `${JSON.stringify(health)}\n`,
});

const failed = (thrown: unknown): Answer => ({ status: 500, type: TEXT, body: `${toError(thrown).message}\n` });
