import { readFileSync } from 'node:fs';
import { hostname, loadavg, type } from 'node:os';
import { pause, type Clock, type Timer } from '../../clock.js';
import type { Frame } from '../../message.js';
import type { Registry } from '../../declarations/registry.js';
import type { Listener, Signals, TaskEvents } from '../../signals.js';
import type { ExchangeDeclaration, Sideline, Transport } from '../../transport.js';
import type { Outcome } from '../outcome.js';
import type { Run } from '../run.js';
import type { WorkerSettings } from '../worker-settings.js';
import { readCommand, REPLIES } from './address.js';
import { answer, type ControlParts } from './control.js';
import { EventLog } from './event-log.js';
import { errorFields, receivedFields, shown } from './fields.js';
import { Lamport } from './lamport.js';

/** What a node works with. */
export interface NodeParts {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly signals: Signals;
  readonly registry: Registry;
  /** Of the worker. One with an `@` is the whole name of the node. */
  readonly name: string;
  readonly settings: WorkerSettings;
}

/** Events of ours that a monitor hears of. */
type Told = `task:${'started' | 'succeeded' | 'failed' | 'retried' | 'dead' | 'expired' | 'discarded' | 'coalesced'}`;

const EVENTS: ExchangeDeclaration = { name: 'celeryev', type: 'topic', durable: true };
const ANSWERS: ExchangeDeclaration = { name: REPLIES, type: 'direct', durable: false };
const COMMANDS: ExchangeDeclaration = { name: 'celery.pidbox', type: 'fanout', durable: false };
/** ms, as Celery's `control_queue_ttl`. */
const COMMAND_TTL = 300_000;
/** ms between two heartbeats; after twice that a monitor takes the worker for dead. */
const BEAT = 2_000;
/** ms that the start of a worker waits for this; it comes later then. */
const PATIENCE = 3_000;
/** Bytes of a node's name: `<name>.celery.pidbox` must be one of a queue. */
const LONGEST_NAME = 200;

/** Of this process: Celery's monitors tell workers apart by their names alone. */
const taken = new Set<string>();

/**
 * A worker as Celery's monitors see one: it sends Celery's events to `celeryev`, and answers what Celery's clients
 * broadcast. For people only; what cannot be sent is dropped, and no task waits.
 * Source: Celery 5.2.6 (events/, worker/heartbeat.py, worker/request.py), kombu 5.2.4 (pidbox.py).
 */
export class CeleryNode {
  readonly name: string;
  readonly #parts: NodeParts;
  readonly #control: ControlParts;
  readonly #lamport = new Lamport();
  readonly #log: EventLog;
  /** Deliveries under way, by id. */
  readonly #runs = new Map<string, Run>();
  /** How attempts failed of which it is not told yet what becomes of them. */
  readonly #failures = new Map<string, Error>();
  readonly #totals = new Map<string, number>();
  readonly #forget: (() => void)[] = [];
  readonly #opened = new AbortController();
  #processed = 0;
  #sideline: Sideline | undefined;
  #opening: Promise<void> | undefined;
  #timer: Timer | undefined;
  #online = false;
  #ended = false;

  constructor(parts: NodeParts) {
    const { clock, transport } = parts;
    this.#parts = parts;
    this.name = freeName(parts.name);
    this.#log = new EventLog({
      clock,
      send: (events) => this.#send('task.multi', events),
      writable: () => this.#sideline?.writable === true,
    });
    this.#control = {
      ...parts,
      node: this.name,
      lamport: this.#lamport,
      address: transport.address,
      version: versionOfPackage(),
      started: clock.now(),
      runs: () => this.#runs.values(),
      totals: this.#totals,
      beat: () => this.#tell('worker-heartbeat'),
    };
    this.#listen();
  }

  /** @throws AccessRefusedError when this user may not use Celery's exchanges. */
  async start(): Promise<void> {
    const { clock } = this.#parts;
    this.#opening = this.#open();
    await Promise.race([this.#opening, pause(clock, PATIENCE, this.#opened.signal)]);
    this.#beat();
  }

  /** A delivery has come. */
  received(run: Run): void {
    if (run.head.id === '') return;
    this.#overtaken(run.head.id);
    this.#runs.set(run.head.id, run);
    this.#event('task-received', receivedFields(run));
  }

  /** It is not ours any more. */
  over(run: Run, outcome: Outcome): void {
    const { id } = run.head;
    const back = outcome.kind === 'aborted' || outcome.kind === 'overdue';
    if (back && id !== '') this.#event('task-rejected', { uuid: id, requeue: true });
    if (this.#runs.get(id) === run) this.#runs.delete(id);
    this.#failures.delete(attemptOf(run.head));
  }

  /**
   * The next attempt has come before the last one's `task:retried`. A monitor would take the task for one that waits, if
   * it were told after the end of that attempt.
   */
  #overtaken(id: string): void {
    const last = this.#runs.get(id);
    if (last !== undefined && last.aborted === undefined) this.#retried(last.head);
  }

  /** Once for each failure. */
  #retried(head: { readonly id: string; readonly attempt: number }): void {
    const error = this.#failures.get(attemptOf(head));
    if (error !== undefined) this.#event('task-retried', { uuid: head.id, ...errorFields(error) });
    this.#failures.delete(attemptOf(head));
  }

  /** Says goodbye, as far as somebody can hear it. */
  async stop(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    taken.delete(this.name);
    for (const forget of this.#forget) forget();
    this.#timer?.cancel();
    this.#log.end();
    if (this.#online) this.#tell('worker-offline');
    await this.#sideline?.close();
  }

  async #open(): Promise<void> {
    try {
      const sideline = await this.#parts.transport.sideline?.({
        exchanges: [EVENTS, ANSWERS],
        mailbox: {
          queue: `${this.name}.celery.pidbox`,
          exchange: COMMANDS,
          ttl: COMMAND_TTL,
          deliver: (frame) => this.#deliver(frame),
        },
        ready: () => this.#writable(),
      });
      if (this.#ended) return await sideline?.close();
      this.#sideline = sideline;
      this.#writable();
    } finally {
      this.#opened.abort();
    }
  }

  #writable(): void {
    if (this.#sideline?.writable !== true) return;
    if (!this.#online) this.#tell('worker-online');
    this.#online = true;
    this.#log.flush();
  }

  #beat(): void {
    if (this.#ended) return;
    if (this.#online) this.#tell('worker-heartbeat');
    this.#writable();
    this.#timer = this.#parts.clock.after(BEAT, () => this.#beat(), { idle: true });
  }

  #deliver(frame: Frame): void {
    this.#lamport.adjust(frame.headers['clock']);
    const command = readCommand(frame, this.name);
    if (command === undefined) return;
    const told = answer(this.#control, command);
    if (command.reply === undefined) return;
    const { routingKey, ticket } = command.reply;
    const headers = { ticket, clock: this.#lamport.forward() };
    const body = Buffer.from(JSON.stringify({ [this.name]: told }));
    this.#sideline?.send({ exchange: REPLIES, routingKey, headers, body });
  }

  #listen(): void {
    this.#on('task:started', ({ id, task }) => {
      this.#processed += 1;
      this.#totals.set(task, (this.#totals.get(task) ?? 0) + 1);
      this.#event('task-started', { uuid: id });
    });
    this.#on('task:succeeded', ({ id, seconds }, { body }) => {
      // It has ended, so that this comes at once.
      const succeeded = (result: string | null): void =>
        this.#event('task-succeeded', { uuid: id, result, runtime: seconds });
      if (body === undefined) succeeded(null);
      else void body.then(({ value }) => succeeded(shown(value)));
    });
    this.#on('task:failed', (event) => this.#failures.set(attemptOf(event), event.error));
    this.#on('task:retried', (event) => this.#retried(event));
    this.#on('task:dead', ({ id, error }) => this.#event('task-failed', { uuid: id, ...errorFields(error) }));
    this.#on('task:expired', ({ id }) => this.#revoked(id, true, 'expired'));
    // Celery knows nothing of duplicates; a task that was withdrawn comes nearest, as it does among the results.
    this.#on('task:discarded', ({ id, holder }) => this.#revoked(id, false, `duplicate of ${holder.id}`));
    this.#on('task:coalesced', ({ id, holder }) => this.#revoked(id, false, `duplicate of ${holder.id}`));
  }

  #revoked(uuid: string, expired: boolean, exception: string): void {
    this.#event('task-revoked', { uuid, terminated: false, signum: null, expired, exception });
  }

  /** Events of this worker's deliveries; the app may have other workers, and producers. */
  #on<E extends Told>(event: E, tell: (payload: TaskEvents[E], run: Run) => void): void {
    const listener = (payload: TaskEvents[E]): void => {
      const run = this.#runs.get(payload.id);
      if (run !== undefined) tell(payload, run);
    };
    this.#forget.push(this.#parts.signals.on(event, listener as Listener<E>));
  }

  #event(name: string, fields: object): void {
    if (!this.#ended) this.#log.add(this.#stamped(name, fields));
  }

  /** About the worker itself: now or not at all. */
  #tell(name: string): void {
    const { version } = this.#control;
    const active = [...this.#runs.values()].filter(({ stage }) => stage === 'running').length;
    this.#send(
      name.replace('-', '.'),
      this.#stamped(name, {
        freq: BEAT / 1000,
        active,
        processed: this.#processed,
        loadavg: loadavg().map((load) => Math.round(load * 100) / 100),
        sw_ident: 'solotask',
        sw_ver: version,
        sw_sys: type(),
      }),
    );
  }

  #send(routingKey: string, events: object): void {
    const body = Buffer.from(JSON.stringify(events));
    this.#sideline?.send({ exchange: EVENTS.name, routingKey, headers: { hostname: this.name }, body });
  }

  /** `utcoffset`: whole hours west of UTC, as Python counts them. */
  #stamped(name: string, fields: object): object {
    const now = this.#parts.clock.now();
    return {
      hostname: this.name,
      utcoffset: Math.floor(new Date(now).getTimezoneOffset() / 60),
      pid: process.pid,
      clock: this.#lamport.forward(),
      ...fields,
      timestamp: now / 1000,
      type: name,
    };
  }
}

/** Names an attempt: the next one of its task may be under way before the last has been told of. */
const attemptOf = ({ id, attempt }: { readonly id: string; readonly attempt: number }): string => `${attempt} ${id}`;

/** `name@host`, as Celery's nodes are called; a second worker of the process gets a number. */
function freeName(name: string): string {
  const [own = '', host = hostname()] = name.split(/@(.*)/s);
  for (let n = 1; ; n++) {
    const node = `${own.slice(0, LONGEST_NAME / 2)}${n === 1 ? '' : `-${n}`}@${host.slice(0, LONGEST_NAME / 2)}`;
    if (taken.has(node)) continue;
    taken.add(node);
    return node;
  }
}

function versionOfPackage(): string {
  const text = readFileSync(new URL('../../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
