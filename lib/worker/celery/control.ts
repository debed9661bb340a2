import type { Clock } from '../../clock.js';
import type { Registry } from '../../declarations/registry.js';
import type { Run } from '../run.js';
import type { WorkerSettings } from '../worker-settings.js';
import type { Command } from './address.js';
import { runFields } from './fields.js';
import type { Lamport } from './lamport.js';

/** What the commands look at. */
export interface ControlParts {
  readonly node: string;
  readonly settings: WorkerSettings;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly lamport: Lamport;
  /** Of the broker, secrets masked. */
  readonly address: string;
  readonly version: string;
  /** Epoch ms. */
  readonly started: number;
  /** Deliveries under way. */
  readonly runs: () => Iterable<Run>;
  /** Bodies that were begun so far, by task. */
  readonly totals: ReadonlyMap<string, number>;
  /** Sends a heartbeat now. */
  readonly beat: () => void;
}

type Answer = (parts: ControlParts, args: Command['args']) => unknown;

const ok = (value: unknown): object => ({ ok: value });

/** What we answer. The rest of Celery's commands would change something, and is refused: see `answer`. */
const ANSWERS = new Map<string, Answer>(
  Object.entries({
    ping: () => ok('pong'),
    active: (parts, { safe }) => running(parts).map((run) => shown(parts, run, safe === true)),
    reserved: (parts) => waiting(parts).map((run) => shown(parts, run, false)),
    // What is not due within a second is the broker's, not ours.
    scheduled: () => [],
    revoked: () => [],
    registered: ({ registry }) => registry.definitions.map(({ name }) => name).toSorted(),
    query_task: (parts, { ids }) => queried(parts, [ids].flat()),
    active_queues: ({ settings }) => settings.queues.map(queue),
    stats,
    conf: ({ settings, address }) => ({
      broker_url: address,
      worker_concurrency: settings.concurrency,
      worker_send_task_events: true,
    }),
    report: ({ version }) =>
      ok(`software -> solotask:${version} node:${process.version}\nplatform -> ${process.platform} ${process.arch}\n`),
    clock: ({ lamport }) => ({ clock: lamport.value }),
    // Asked by a Celery worker that starts.
    hello: ({ lamport }, { from_node }) => (from_node ? { revoked: {}, clock: lamport.forward() } : null),
    heartbeat: ({ beat }) => beat() ?? null,
    enable_events: () => ok('task events already enabled'),
  } satisfies Record<string, Answer>),
);

/** Celery's other names for some. */
const ALIASES = new Map(
  Object.entries({
    dump_active: 'active',
    dump_reserved: 'reserved',
    dump_schedule: 'scheduled',
    dump_revoked: 'revoked',
    dump_tasks: 'registered',
    dump_conf: 'conf',
  }),
);

/** What a Celery client is told; of what we do not know or do not do it is an error, as Celery's worker would send one. */
export function answer(parts: ControlParts, { method, args }: Command): unknown {
  const answers = ANSWERS.get(ALIASES.get(method) ?? method);
  if (answers !== undefined) return answers(parts, args);
  const known = [...ANSWERS.keys()].join(', ');
  return {
    error: `a solotask worker does not do '${method.slice(0, 80)}', and nothing was changed (it knows ${known})`,
  };
}

const running = ({ runs }: ControlParts): Run[] => [...runs()].filter(({ stage }) => stage === 'running');

const waiting = ({ runs }: ControlParts): Run[] =>
  [...runs()].filter(({ stage }) => stage === 'waiting' || stage === 'claiming');

function shown({ node, clock }: ControlParts, run: Run, safe: boolean): object {
  const started = run.stage === 'running' ? clock.now() - run.seconds(clock) * 1000 : undefined;
  return runFields(run, node, safe, started);
}

function queried(parts: ControlParts, ids: readonly unknown[]): object {
  const state = { running: 'active', settling: 'ready', waiting: 'reserved', claiming: 'reserved' };
  const runs = [...parts.runs()].filter(({ head }) => ids.includes(head.id));
  return Object.fromEntries(runs.map((run) => [run.head.id, [state[run.stage], shown(parts, run, false)]]));
}

/** A queue as kombu describes one. */
const queue = (name: string): object => ({
  name,
  exchange: {
    name: '',
    type: 'direct',
    arguments: null,
    durable: true,
    passive: false,
    auto_delete: false,
    delivery_mode: null,
    no_declare: true,
  },
  routing_key: name,
  queue_arguments: null,
  binding_arguments: null,
  consumer_arguments: null,
  durable: true,
  exclusive: false,
  auto_delete: false,
  no_ack: false,
  alias: null,
  bindings: [],
  no_declare: null,
  expires: null,
  message_ttl: null,
  max_length: null,
  max_length_bytes: null,
  max_priority: null,
});

function stats({ settings, clock, lamport, address, started, totals }: ControlParts): object {
  return {
    total: Object.fromEntries(totals),
    pid: process.pid,
    clock: String(lamport.value),
    uptime: Math.round((clock.now() - started) / 1000),
    pool: { implementation: 'solotask', 'max-concurrency': settings.concurrency, processes: [process.pid] },
    broker: brokerOf(address),
    prefetch_count: settings.lanes.reduce((sum, { queues, prefetch }) => sum + queues.length * prefetch, 0),
    rusage: usage(),
  };
}

function brokerOf(address: string): object {
  const { protocol, hostname, port, pathname } = new URL(address);
  const ssl = protocol === 'amqps:';
  const vhost = decodeURIComponent(pathname.slice(1)) || '/';
  return { transport: 'amqp', hostname, port: Number(port) || (ssl ? 5671 : 5672), virtual_host: vhost, ssl };
}

/** As Python's `getrusage` names them; times in seconds. */
function usage(): object {
  const used = process.resourceUsage();
  return {
    utime: used.userCPUTime / 1e6,
    stime: used.systemCPUTime / 1e6,
    maxrss: used.maxRSS,
    ixrss: used.sharedMemorySize,
    idrss: used.unsharedDataSize,
    isrss: used.unsharedStackSize,
    minflt: used.minorPageFault,
    majflt: used.majorPageFault,
    nswap: used.swappedOut,
    inblock: used.fsRead,
    oublock: used.fsWrite,
    msgsnd: used.ipcSent,
    msgrcv: used.ipcReceived,
    nsignals: used.signalsCount,
    nvcsw: used.voluntaryContextSwitches,
    nivcsw: used.involuntaryContextSwitches,
  };
}
