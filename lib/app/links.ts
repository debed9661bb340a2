import { hostname } from 'node:os';
import { checkPair, openGuard, openResults, openTransport } from './adapters.js';
import type { AppSettings } from './app-options.js';
import { Client } from '../client/client.js';
import { resultReader } from '../client/result-reader.js';
import { decodeHead } from '../celery-protocol.js';
import type { Clock } from '../clock.js';
import { LockUnavailableError } from '../errors.js';
import { FenceSource } from '../fence.js';
import type { Guard } from '../guard.js';
import type { Rehearsal } from './rehearsal.js';
import type { Registry } from '../declarations/registry.js';
import type { ResultBackend } from '../result-backend.js';
import type { Signals } from '../signals.js';
import { openTracing, type Tracing } from '../tracing.js';
import type { QueueDeclaration, Transport } from '../transport.js';

/** What an app is made of before anything is opened. */
export interface LinkParts {
  readonly settings: AppSettings;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly signals: Signals;
  /** In the broker's list of connections. @default namespace, host and process */
  readonly name: string | undefined;
  /** Aborts as the app is closed: nobody waits for a result any longer. */
  readonly closed: AbortSignal;
  /** Undefined but under test. */
  readonly rehearsal: Rehearsal | undefined;
}

/** An app's open links, and the client on them. */
export interface Links {
  readonly transport: Transport;
  readonly guard: Guard;
  /** Undefined: the app keeps none. */
  readonly results: ResultBackend | undefined;
  readonly fences: FenceSource;
  readonly client: Client;
  /** Undefined without OpenTelemetry. */
  readonly tracing: Tracing | undefined;
  /** As the broker shows it, and `inspect`. */
  readonly name: string;
}

/** How long Redis is waited for when the app can open without, ms; it goes on connecting afterwards. */
const OPTIONAL_LOCKS = 1_000;

/** Opens broker and locks, and declares the queues of the app's tasks. Whatever was opened is closed when it fails. */
export async function openLinks(parts: LinkParts, timeout: number): Promise<Links> {
  const { settings, clock, signals, name, closed, rehearsal } = parts;
  checkPair(settings);
  const { namespace, publishTimeout } = settings;
  const connectionName = name ?? `${namespace} ${hostname()} ${process.pid}`;
  const adapter = { namespace, clock, connectionName, rehearsal };
  const transport = await openTransport(settings.broker, adapter);
  const guard = await openGuard(settings.locks, adapter);
  const results = await openResults(settings, adapter);
  const queues = queuesOf(parts);
  listen(transport, guard, signals);
  try {
    await Promise.all([transport.connect(timeout), connectLocks(guard, parts, timeout), results?.connect(timeout)]);
    await transport.declare(queues);
  } catch (error) {
    // Parts that the app was given may be used again; those of our own making are of no more use.
    if (typeof settings.broker === 'string') await transport.close();
    if (settings.locks !== guard) await guard.close();
    if (settings.results !== results) await results?.close();
    throw error;
  }
  const fences = new FenceSource(clock);
  const origin = `${process.pid}@${hostname()}`;
  const reader = results && resultReader({ results, clock, closed });
  const declared = new Map(queues.map((queue) => [queue.name, queue]));
  const tracing = await openTracing(transport.address);
  const shared = { transport, guard, fences, clock, signals, tracing, run: rehearsal?.run };
  const client = new Client({ ...shared, namespace, publishTimeout, origin, reader, declared });
  return { transport, guard, results, fences, client, tracing, name: name ?? `${hostname()}-${process.pid}` };
}

/** A task that is rather published without its lock than not at all must not wait for Redis to open the app. */
async function connectLocks(guard: Guard, { registry, signals }: LinkParts, timeout: number): Promise<void> {
  const optional = registry.definitions.some(({ unique }) => unique?.onLockError === 'publish');
  if (!optional) return guard.connect(timeout);
  try {
    await guard.connect(Math.min(timeout, OPTIONAL_LOCKS));
  } catch (error) {
    if (!(error instanceof LockUnavailableError)) throw error;
    signals.emit('redis:unavailable', { error });
  }
}

/** Publishes and confirms first, then the broker; Redis last, for whatever ends on the way frees its key. */
export async function closeLinks({ client, transport, guard, results }: Links): Promise<void> {
  await client.close();
  await transport.close();
  await guard.close();
  await results?.close();
}

function queuesOf({ settings, registry }: LinkParts): QueueDeclaration[] {
  const ours = new Set(registry.definitions.map(({ queue }) => queue));
  const names = new Set([...ours, ...Object.keys(settings.queues)]);
  return [...names].map((name) => ({ ...settings.queues[name], name, deadLetters: ours.has(name) }));
}

/**
 * Before a worker consumes: on a queue that is somebody else's, what nobody here knows needs a place as well, whether a
 * task of the app is on it or not.
 */
export async function declareDead(
  { transport }: Links,
  names: readonly string[],
  { queues }: AppSettings,
): Promise<void> {
  const passive = names.filter((name) => queues[name]?.passive === true);
  if (passive.length > 0) await transport.declare(passive.map((name) => ({ name, passive: true, deadLetters: true })));
}

function listen(transport: Transport, guard: Guard, signals: Signals): void {
  const { address } = transport;
  transport.listen({
    connected: (link) => signals.emit('broker:connected', { link, address }),
    disconnected: (link, error) => signals.emit('broker:disconnected', { link, error }),
    blocked: (blocked, reason) => signals.emit('broker:blocked', { blocked, reason }),
    expired: (frame, queue, expires) => {
      const { task, id, attempt, lock } = decodeHead(frame);
      signals.emit('task:expired', { task, id, key: lock?.key, queue, attempt, expires });
    },
  });
  guard.listen({
    available: (error) => signals.emit('redis:unavailable', { error }),
    warn: (message) => signals.emit('redis:warning', { message }),
  });
}
