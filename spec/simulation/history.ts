import { createApp, ShouldCompute, Task, taskContext, type App, type EventName } from 'solotask';
import { pause } from '../../lib/clock.js';
import { MemoryBroker } from '../../lib/transports/memory.js';
import { NetworkTransport } from './broker.js';
import { Ledger, type Body, type Enqueued } from './ledger.js';
import { Node, NodeGuard } from './nodes.js';
import type { Call, Fault, Plan } from './plan.js';
import { Random } from './random.js';
import { World, type Process } from './world.js';

const QUEUE = 'work';
/** After the last fault a history has this long to come to rest, ms of the world. */
const PATIENCE = 3_600_000;

/** A producer or a worker: a process with links and an app of its own. */
interface Member {
  readonly process: Process;
  readonly transport: NetworkTransport;
  readonly app: App;
}

/** What is left when a history has come to rest. */
export interface Rest {
  readonly ledger: Ledger;
  /** Nothing was left to happen. */
  readonly quiet: boolean;
  /** Messages that are left in the queue. */
  readonly left: number;
  /** Keys that are still held for somebody. */
  readonly held: readonly string[];
  readonly steps: number;
}

/** Plays one plan on the real client and worker, over parts in memory and a network that a seed decides. */
export class History {
  readonly #plan: Plan;
  readonly #world: World;
  readonly #broker: MemoryBroker;
  readonly #nodes: readonly Node[];
  readonly #ledger = new Ledger();
  readonly #members: Member[] = [];
  readonly #service: abstract new () => object;
  #spawned = 0;

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#world = new World(new Random(plan.seed ^ 0x5eed));
    this.#broker = new MemoryBroker(this.#world.process('broker').clock);
    this.#broker.declare({ name: QUEUE });
    this.#nodes = Array.from({ length: plan.nodes }, (_, i) => new Node(this.#world, `node ${i}`, this.#skew()));
    this.#service = this.#declare();
  }

  async play(): Promise<Rest> {
    const { producers, workers, calls, faults } = this.#plan;
    for (let i = 0; i < producers + workers; i++) this.#members.push(this.#spawn(i >= producers));
    for (const call of calls) this.#world.after(call.at, () => void this.#call(call));
    for (const fault of faults) this.#arm(fault);
    const quiet = await this.#world.run(PATIENCE);
    const { ready: left } = await this.#watcher().figures(QUEUE);
    await this.#readDeadLetters();
    return { ledger: this.#ledger, quiet, left, held: await this.#held(), steps: this.#world.steps };
  }

  #skew(): number {
    return this.#world.random.between(-this.#plan.skew, this.#plan.skew);
  }

  /** A process, and its worker when it is one. The dead are replaced. */
  #spawn(works: boolean): Member {
    const { latency, loss, concurrency } = this.#plan;
    const process = this.#world.process(`${works ? 'worker' : 'producer'} ${this.#spawned++}`, this.#skew());
    const transport = new NetworkTransport(this.#world, process, this.#broker, { latency, notice: 500 });
    const locks = new NodeGuard(this.#world, process, this.#nodes, { latency, loss });
    const Service = this.#service;
    const container = { get: () => Object.assign(Object.create(Service.prototype) as object, { process }) };
    const app = createApp({ broker: transport, locks, services: [Service], container }, process.clock);
    for (const event of WORDS) app.on(event, (payload) => this.#hear(process, event, payload));
    if (works) void app.worker({ concurrency }).start();
    return { process, transport, app };
  }

  #hear(process: Process, event: EventName, payload: object): void {
    if (!process.alive) return;
    const { id = '', key = '', code = '', reason = '' } = payload as Record<string, string>;
    const more = [process.name, key, code, reason].filter((text) => text !== '').join(' ');
    this.#ledger.words.push({ at: this.#world.time, event, id, more });
  }

  async #call({ producer, key, delay }: Call): Promise<void> {
    const { app, process } = this.#members[producer] as Member;
    if (!process.alive) return;
    const version = this.#ledger.calls.length + 1;
    const call: Enqueued = {
      key,
      version,
      called: this.#world.time,
      returned: Infinity,
      status: 'pending',
      id: '',
      phase: undefined,
    };
    this.#ledger.calls.push(call);
    try {
      const service = this.#service as abstract new () => { recompute(key: number, version: number): Promise<void> };
      const receipt = await app.tasks(service, delay > 0 ? { delay } : {}).recompute(key, version);
      if (receipt.status === 'deferred') throw new Error('not in a transaction');
      Object.assign(call, { status: receipt.status, id: receipt.id, phase: receipt.holder?.phase });
    } catch (error) {
      Object.assign(call, { status: 'failed', phase: (error as { code?: string }).code ?? String(error) });
    }
    if (process.alive) call.returned = this.#world.time;
    else call.status = 'pending';
  }

  #declare(): abstract new () => object {
    const { recipe, onDuplicate, lease, ttl, attempts, retryDelay } = this.#plan;
    const retry = { attempts, delay: retryDelay, maxDelay: Math.max(retryDelay, 5_000) };
    const unique = { key: 'loan:<key>', onDuplicate, lease, ttl };
    const run = (process: Process, key: number, version: number): Promise<void> => this.#body(process, key, version);
    const options = { name: 'recompute', queue: QUEUE, retry };
    if (recipe === 'worker') {
      class Loans {
        declare readonly process: Process;
        @Task(options)
        @ShouldCompute({ key: 'loan:<key>', onDuplicate, lease })
        recompute(key: number, version: number): Promise<void> {
          return run(this.process, key, version);
        }
      }
      return Loans;
    }
    if (recipe === 'both') {
      class Loans {
        declare readonly process: Process;
        @Task({ ...options, unique })
        @ShouldCompute({ onDuplicate, lease })
        recompute(key: number, version: number): Promise<void> {
          return run(this.process, key, version);
        }
      }
      return Loans;
    }
    class Loans {
      declare readonly process: Process;
      @Task({ ...options, unique })
      recompute(key: number, version: number): Promise<void> {
        return run(this.process, key, version);
      }
    }
    return Loans;
  }

  async #body(process: Process, key: number, version: number): Promise<void> {
    const { id, attempt, fence = 0, signal } = taskContext();
    const { random } = this.#world;
    const body: Body = {
      key,
      version,
      id,
      attempt,
      fence,
      process: process.name,
      started: this.#world.time,
      ended: Infinity,
      end: 'open',
    };
    this.#ledger.bodies.push(body);
    const deaf = random.chance(this.#plan.deaf);
    await pause(process.clock, random.between(0, this.#plan.work), deaf ? undefined : signal);
    const ended = (end: Body['end']): void => void Object.assign(body, { end, ended: this.#world.time });
    if (signal.aborted) {
      ended(deaf ? 'deaf' : 'aborted');
      throw signal.reason;
    }
    if (random.chance(this.#plan.failing)) {
      ended('threw');
      throw new Error('no luck');
    }
    ended('good');
  }

  #arm(fault: Fault): void {
    if (fault.kind === 'kill') {
      const before = this.#world.onStep;
      this.#world.onStep = (step) => {
        before?.(step);
        if (step === fault.step) this.#kill(fault.process);
      };
    } else this.#world.after(fault.at, () => this.#strike(fault));
  }

  #strike(fault: Exclude<Fault, { kind: 'kill' }>): void {
    const { time } = this.#world;
    this.#ledger.words.push({ at: time, event: fault.kind, id: '', more: JSON.stringify(fault) });
    switch (fault.kind) {
      case 'cut':
        return (this.#members[fault.process] as Member).transport.cut();
      case 'block':
        return void ((this.#members[fault.process] as Member).process.blockedUntil = time + fault.ms);
      case 'jump':
        return void ((this.#members[fault.process] as Member).process.skew += fault.ms);
      case 'pause':
        return void ((this.#nodes[fault.node] as Node).pausedUntil = time + fault.ms);
      case 'restart':
        return (this.#nodes[fault.node] as Node).restart(time + fault.ms);
      case 'refuse':
        this.#broker.refuse(QUEUE);
        this.#world.after(fault.ms, () => this.#broker.accept(QUEUE));
    }
  }

  /** Dead at once; another one takes its place. */
  #kill(index: number): void {
    const { process, transport } = this.#members[index] as Member;
    if (!process.alive) return;
    process.alive = false;
    void transport.die();
    for (const body of this.#ledger.bodies) {
      if (body.process === process.name && body.end === 'open')
        Object.assign(body, { end: 'died', ended: this.#world.time });
    }
    this.#ledger.words.push({ at: this.#world.time, event: 'kill', id: '', more: process.name });
    const works = index >= this.#plan.producers;
    this.#world.after(this.#world.random.between(0, 500), () => (this.#members[index] = this.#spawn(works)));
  }

  #watcher(): NetworkTransport {
    const process = this.#world.process('watcher');
    return new NetworkTransport(this.#world, process, this.#broker, { latency: 1, notice: 1 });
  }

  async #readDeadLetters(): Promise<void> {
    const watcher = this.#watcher();
    await watcher.consume(`${QUEUE}.dead`, 1_000, {
      deliver: ({ frame }) => void this.#ledger.dead.add(String(frame.headers['id'])),
      lost: () => {},
    });
    await this.#world.run(this.#world.time + 1_000);
  }

  /** Keys that a quorum holds for somebody. */
  async #held(): Promise<string[]> {
    const held: string[] = [];
    for (const key of new Set(this.#plan.calls.map((call) => call.key))) {
      const records = this.#nodes.map(async ({ guard, process }) => {
        const record = await guard.read(`solotask:lock:recompute:loan:${key}`);
        return record?.owner !== undefined && record.deadline > process.clock.now() ? record : undefined;
      });
      const found = (await Promise.all(records)).filter((record) => record !== undefined);
      if (found.length * 2 > this.#nodes.length) held.push(`k${key} ${found[0]?.phase} ${found[0]?.owner}`);
    }
    return held;
  }
}

const WORDS = [
  'task:enqueued',
  'task:discarded',
  'task:succeeded',
  'task:failed',
  'task:retried',
  'task:dead',
  'task:overdue',
  'lock:lost',
  'lock:waiting',
  'publish:failed',
] as const satisfies readonly EventName[];
