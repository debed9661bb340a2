import { pause, type Clock } from './clock.js';
import type { Vitals } from './health.js';
import { declareMetrics, type Declared } from './metrics/declared.js';
import { Names } from './metrics/names.js';
import { count } from './metrics/subscribe.js';
import type { RunEvent, Signals } from './signals.js';
import type { TaskDefinition } from './task-definition.js';
import { deadQueue, type QueueFigures } from './transport.js';

/** The figures of one app, for Prometheus. */
export interface Metrics {
  /** Of the text, for the response's header. */
  readonly contentType: string;
  /**
   * All of them in Prometheus's text format. Asks the broker how long the queues are; what it does not say within two
   * seconds is left out.
   */
  text(): Promise<string>;
}

/** Where the figures come from. */
export interface MetricsParts {
  readonly clock: Clock;
  readonly signals: Signals;
  readonly vitals: Vitals;
  readonly definitions: readonly TaskDefinition[];
  /** `app.health()` in short. */
  ready(): boolean;
  /** Runs whose body is under way. */
  bodies(): readonly RunEvent[];
  /** Undefined while no link is open. */
  figures(queue: string): Promise<QueueFigures | undefined>;
}

/** How long a scrape waits for the broker, ms: Prometheus itself waits for ten seconds by default. */
const PATIENCE = 2_000;

/** Loads the Prometheus client, and counts from now on. */
export async function openMetrics(parts: MetricsParts): Promise<Metrics> {
  const prometheus = await import('prom-client');
  const registry = new prometheus.Registry();
  const metrics = declareMetrics(prometheus, registry);
  const names = new Names(parts.definitions);
  count(parts, metrics, names);
  const look = new Look(parts, metrics, names);
  return {
    contentType: registry.contentType,
    text: async () => {
      await look.now();
      return registry.metrics();
    },
  };
}

/** What is not counted but looked at, when it is asked for. */
class Look {
  readonly #parts: MetricsParts;
  readonly #metrics: Declared;
  readonly #names: Names;
  /** Of a broker that does not answer nothing more is asked. */
  readonly #asked = new Map<string, Promise<void>>();

  constructor(parts: MetricsParts, metrics: Declared, names: Names) {
    this.#parts = parts;
    this.#metrics = metrics;
    this.#names = names;
  }

  async now(): Promise<void> {
    const { clock, vitals, definitions } = this.#parts;
    const { up, brokerUp, brokerBlocked, redisUp, running } = this.#metrics;
    up.set(Number(this.#parts.ready()));
    brokerUp.set(Number(vitals.brokerUp));
    brokerBlocked.set(Number(vitals.brokerBlocked));
    redisUp.set(Number(vitals.redisUp));
    running.reset();
    for (const { name, queue } of definitions) running.set(this.#names.of({ task: name, queue }), 0);
    for (const run of this.#parts.bodies()) running.inc(this.#names.of(run));
    this.#metrics.queueReady.reset();
    this.#metrics.queueDead.reset();
    this.#metrics.queueConsumers.reset();
    if (!vitals.brokerUp) return;
    const queues = new Set(definitions.map(({ queue }) => queue));
    const over = new AbortController();
    const answers = Promise.all([...queues].map((queue) => this.#ask(queue)));
    await Promise.race([answers, pause(clock, PATIENCE, over.signal)]);
    over.abort();
  }

  /** Never rejects: a queue that is not there has no length. */
  #ask(queue: string): Promise<void> {
    const asked = this.#asked.get(queue) ?? this.#figures(queue).catch(() => {});
    this.#asked.set(queue, asked);
    return asked.finally(() => this.#asked.delete(queue));
  }

  async #figures(queue: string): Promise<void> {
    const { queueReady, queueDead, queueConsumers } = this.#metrics;
    const [work, dead] = await Promise.all([this.#parts.figures(queue), this.#parts.figures(deadQueue(queue))]);
    if (work !== undefined) queueReady.set({ queue }, work.ready);
    if (work !== undefined) queueConsumers.set({ queue }, work.consumers);
    if (dead !== undefined) queueDead.set({ queue }, dead.ready);
  }
}
