import type { Counter, Gauge, Histogram, Registry } from 'prom-client';

type Prometheus = typeof import('prom-client');

/** All metrics of an app. */
export type Declared = ReturnType<typeof declareMetrics>;

/** s; from a cached answer to half an hour. */
const RUNS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800];
/** s; a queue may wait for hours. */
const WAITS = [0.01, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200];
/** s; a command of Redis fails after a quarter of a second. */
const CLAIMS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1];

const RUN = ['task', 'queue'] as const;
const QUEUE = ['queue'] as const;

/** Declares every metric in a registry of its own. Names by Prometheus's conventions: base units, `_total`. */
export function declareMetrics(prometheus: Prometheus, registry: Registry) {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]): Counter<L> =>
    new prometheus.Counter({ name: `solotask_${name}_total`, help, labelNames, registers });
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[] = []): Gauge<L> =>
    new prometheus.Gauge({ name: `solotask_${name}`, help, labelNames, registers });
  const seconds = (name: string, help: string, buckets: number[]): Histogram<(typeof RUN)[number]> =>
    new prometheus.Histogram({ name: `solotask_${name}_seconds`, help, labelNames: RUN, buckets, registers });
  return {
    enqueued: counter('enqueued', 'Tasks that were published and confirmed.', RUN),
    unguarded: counter('enqueued_unguarded', 'Tasks that were published without their lock.', RUN),
    enqueueFailures: counter('enqueue_failures', 'Tasks that were lost between a commit and the broker.', RUN),
    discarded: counter('discarded', 'Duplicates that were dropped, by what their holder did.', ['task', 'reason']),
    coalesced: counter('coalesced', 'Duplicates whose arguments a holder took.', ['task']),
    runs: counter('runs', 'Runs that ended.', [...RUN, 'outcome']),
    reruns: counter('reruns', 'Runs that began for arguments which came during the run before.', RUN),
    retries: counter('retries', 'Failed runs that are tried again.', RUN),
    dead: counter('dead_letters', 'Tasks that went to the dead letters, by code.', [...RUN, 'reason']),
    expired: counter('expired', 'Tasks that waited for too long and were dropped.', RUN),
    overdue: counter('overdue', 'Bodies that ignored their abort.', RUN),
    locksLost: counter('locks_lost', 'Runs that lost the lease of their key.', RUN),
    resultsLost: counter('results_lost', 'Results that could not be kept.', RUN),
    publishFailures: counter('publish_failures', 'Failed tries to publish a retry or a dead letter.', RUN),
    reconnects: counter('broker_reconnects', 'Connections to RabbitMQ that came back.', []),
    loopBlocked: counter('loop_blocked', 'Times that the event loop stood still.', []),
    runTime: seconds('run', 'How long bodies take.', RUNS),
    waitTime: seconds('wait', 'From the enqueue, or the moment a task is due, to the start of its body.', WAITS),
    claimTime: seconds('claim', 'How long Redis takes to grant a worker the key of a task.', CLAIMS),
    running: gauge('running', 'Bodies under way.', RUN),
    up: gauge('ready', '1 while this process can do its work, as /readyz says.'),
    brokerUp: gauge('broker_up', '1 while no connection to RabbitMQ is lost.'),
    brokerBlocked: gauge('broker_blocked', '1 while RabbitMQ takes no messages (an alarm).'),
    redisUp: gauge('redis_up', '1 while a quorum of Redis nodes answers.'),
    queueReady: gauge('queue_ready_messages', 'Messages that wait in a queue.', QUEUE),
    queueDead: gauge('queue_dead_messages', 'Dead letters of a queue.', QUEUE),
    queueConsumers: gauge('queue_consumers', 'Consumers of a queue, over all workers.', QUEUE),
  };
}
