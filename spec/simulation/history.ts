import { createApp, RejectTask, RetryTask, taskContext, type App, type AppWorker, type EventName } from 'solotask';
import { unbind } from '../../lib/app/binding.js';
import { pause } from '../../lib/clock.js';
import { createMemoryResults, MemoryResults } from '../../lib/results/memory.js';
import { MemoryBroker } from '../../lib/transports/memory.js';
import { NetworkTransport } from './broker.js';
import { Ledger, type Body, type Enqueued, type Returned } from './ledger.js';
import { Node, NodeGuard } from './nodes.js';
import type { Call, Fault, Moment, PlaceFault, Plan, ProcessFault } from './plan.js';
import { Random } from './random.js';
import { Before, declareService, QUEUE, TASK, type Service } from './service.js';
import { World, type Process } from './world.js';

/** After the last fault a history has this long to come to rest, ms of the world. */
const PATIENCE = 3_600_000;

/** A producer or a worker: a process with links and an app of its own. */
interface Member {
  readonly process: Process;
  readonly transport: NetworkTransport;
  readonly app: App;
  worker: AppWorker | undefined;
  /** What it did so far. */
  readonly moments: Map<Moment, number>;
}

/** More are not enqueued by bodies: each could bring another. */
const MOST_CALLS = 40;
/** How long a caller waits for a result, ms. */
const RESULT_PATIENCE = 60_000;

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
  readonly #results = new MemoryResults();
  readonly #service: Service;
  readonly #struck = new Set<Fault>();
  #apps: App[] = [];

  constructor(plan: Plan) {
    this.#plan = plan;
    this.#world = new World(new Random(plan.seed ^ 0x5eed));
    this.#broker = new MemoryBroker(this.#world.process('broker').clock);
    this.#broker.declare({ name: QUEUE });
    this.#nodes = Array.from({ length: plan.nodes }, (_, i) => new Node(this.#world, `node ${i}`, this.#skew()));
    this.#service = declareService<Member>(plan, (member, key, version) => this.#body(member, key, version));
  }

  async play(): Promise<Rest> {
    const { producers, workers, calls, faults } = this.#plan;
    for (let i = 0; i < producers + workers; i++) this.#members.push(this.#spawn(i));
    for (const call of calls) this.#world.after(call.at, () => void this.#call(call));
    for (const fault of faults) this.#arm(fault);
    const quiet = await this.#world.run(PATIENCE);
    const { ready: left } = await this.#watcher().figures(QUEUE);
    await this.#readDeadLetters();
    const held = await this.#held();
    // The dead close nothing, and who is not closed is never forgotten.
    for (const app of this.#apps) unbind(app);
    return { ledger: this.#ledger, quiet, left, held, steps: this.#world.steps };
  }

  #skew(): number {
    return this.#world.random.between(-this.#plan.skew, this.#plan.skew);
  }

  /** A process, and its worker when it is one. The dead are replaced. */
  #spawn(index: number): Member {
    const { latency, loss, late, producers, workers, ignorant } = this.#plan;
    const works = index >= producers;
    const process = this.#world.process(`${works ? 'worker' : 'producer'} ${this.#apps.length}`, this.#skew());
    const transport = new NetworkTransport(this.#world, process, this.#broker, { latency, notice: 500 });
    transport.onStored = ({ frame }) => void this.#ledger.stored.add(Number(frame.headers['call']));
    const locks = new NodeGuard(this.#world, process, this.#nodes, { latency, loss, late });
    const results = createMemoryResults({ clock: process.clock, store: this.#results });
    const older = ignorant && index === producers + workers - 1;
    const { prototype } = this.#service;
    const container = { get: () => Object.assign(Object.create(prototype as object) as object, { owner: member }) };
    const services = older ? [Before] : [this.#service];
    const app = createApp({ broker: transport, locks, services, results, container }, process.clock);
    this.#apps.push(app);
    const member: Member = { process, transport, app, worker: undefined, moments: new Map() };
    process.onMoment = (moment) => this.#passed(index, member, moment);
    for (const event of WORDS) app.on(event, (payload) => this.#hear(process, event, payload));
    if (works) this.#work(member);
    return member;
  }

  #work(member: Member): void {
    member.worker = member.app.worker({ concurrency: this.#plan.concurrency });
    // It may die meanwhile.
    member.worker.start().catch(() => undefined);
  }

  #hear(process: Process, event: EventName, payload: object): void {
    if (!process.alive) return;
    const { id = '', key = '', code = '', reason = '', holder } = payload as Record<string, string>;
    const { id: to = '' } = (holder ?? {}) as { id?: string };
    const { recovered = false } = payload as { recovered?: boolean };
    const more = [process.name, key].filter((text) => text !== '').join(' ');
    this.#ledger.words.push({ at: this.#world.time, event, id, holder: to, why: code || reason, recovered, more });
  }

  async #call({ producer, keys, delay, expires, foreign }: Call): Promise<void> {
    const member = this.#members[producer] as Member;
    if (!member.process.alive) return;
    const options = {
      ...(delay > 0 ? { delay } : {}),
      ...(expires === undefined ? {} : { expires: delay + expires }),
    };
    if (foreign === 'unknown' || foreign === 'invalid') return this.#stray(member, foreign);
    const [key = 0, ...others] = keys;
    const fate = expires === undefined ? undefined : delay + expires;
    if (others.length > 0) return this.#many(member, keys, { fate, options });
    const call = this.#book(key, fate, foreign !== undefined);
    const headers = { call: call.version };
    const args = [key, call.version] as const;
    const sent = (): Promise<unknown> =>
      foreign === undefined
        ? member.app.enqueue(this.#service, 'recompute', args as never, { ...options, headers })
        : member.app.send(TASK, { args, queue: QUEUE, headers, ...options });
    return this.#settle(member, call, sent());
  }

  /** Many in one go: each has a receipt, or an error, in its place. */
  async #many(member: Member, keys: readonly number[], given: { fate: number | undefined; options: object }) {
    const calls = keys.map((key) => this.#book(key, given.fate, false));
    const lists = calls.map(({ key, version }) => [Number(key), version] as [number, number]);
    const sent = member.app.enqueueMany(this.#service, 'recompute', lists, given.options);
    const places = sent.then(
      (receipts) => receipts.map((receipt) => Promise.resolve(receipt)),
      ({ receipts, errors }: { receipts: readonly unknown[]; errors: readonly (Error | undefined)[] }) =>
        receipts.map((receipt, i) => (receipt === undefined ? Promise.reject(errors[i] as Error) : receipt)),
    );
    await Promise.all(
      calls.map((call, i) =>
        this.#settle(
          member,
          call,
          places.then((each) => each[i]),
        ),
      ),
    );
  }

  #book(key: number, expires: number | undefined, foreign: boolean): Enqueued {
    const { time } = this.#world;
    const call: Enqueued = {
      key,
      version: this.#ledger.calls.length + 1,
      called: time,
      returned: Infinity,
      status: 'pending',
      id: '',
      phase: undefined,
      expires: expires === undefined ? undefined : time + expires,
      foreign,
      result: undefined,
    };
    this.#ledger.calls.push(call);
    return call;
  }

  async #settle({ process }: Member, call: Enqueued, sent: Promise<unknown>): Promise<void> {
    try {
      const receipt = (await sent) as Awaited<ReturnType<App['send']>>;
      if (receipt.status === 'deferred') throw new Error('not in a transaction');
      Object.assign(call, { status: receipt.status, id: receipt.id, phase: receipt.holder?.phase });
      void receipt.result({ timeout: RESULT_PATIENCE }).then(
        (value) => (call.result = value as Returned),
        (error: { code?: string }) => (call.result = error.code ?? 'no code'),
      );
    } catch (error) {
      Object.assign(call, { status: 'failed', phase: (error as { code?: string }).code ?? String(error) });
    }
    if (process.alive) call.returned = this.#world.time;
    else call.status = 'pending';
  }

  /** A message that goes to the dead letters: of a task that nobody has, or without what its key is made of. */
  async #stray({ app, process }: Member, kind: 'unknown' | 'invalid'): Promise<void> {
    const sent = app.send(kind === 'unknown' ? 'nobody' : TASK, { args: [], queue: QUEUE });
    const receipt = await sent.catch(() => undefined);
    if (receipt !== undefined && process.alive) this.#ledger.strays.push(receipt.id);
  }

  async #body(member: Member, key: number, version: number): Promise<Returned> {
    const { process } = member;
    const { id, attempt, fence = 0, signal } = taskContext();
    const { random } = this.#world;
    const nested = random.chance(this.#plan.nested) && this.#ledger.calls.length < MOST_CALLS;
    // Who waits for an enqueue does not listen to its signal.
    const deaf = random.chance(this.#plan.deaf) || nested;
    const body: Body = {
      key,
      version,
      id,
      attempt,
      fence,
      process: process.name,
      deaf,
      started: this.#world.time,
      ended: Infinity,
      end: 'open',
      aborted: Infinity,
    };
    this.#ledger.bodies.push(body);
    signal.addEventListener('abort', () => (body.aborted = this.#world.time), { once: true });
    process.onMoment?.('body');
    if (nested) await this.#enqueueFromInside(member, key);
    await pause(process.clock, random.between(0, this.#plan.work), deaf ? undefined : signal);
    const ended = (end: Body['end']): void => void Object.assign(body, { end, ended: this.#world.time });
    if (signal.aborted) {
      ended(deaf ? 'deaf' : 'aborted');
      throw signal.reason;
    }
    if (random.chance(this.#plan.failing)) {
      ended('threw');
      throw random.pick([new Error('no luck'), new RetryTask({ delay: 700 }), new RejectTask('never')]);
    }
    ended('good');
    return { version, fence };
  }

  async #enqueueFromInside(member: Member, key: number): Promise<void> {
    const call = this.#book(key, undefined, false);
    const options = { headers: { call: call.version } };
    await this.#settle(member, call, member.app.enqueue(this.#service, 'recompute', [key, call.version], options));
  }

  #arm(fault: Fault): void {
    if (!('when' in fault)) return void this.#world.after(fault.at, () => this.#strikePlace(fault));
    const { when } = fault;
    if ('at' in when) this.#world.after(when.at, () => this.#strike(fault));
    if (!('step' in when)) return;
    const before = this.#world.onStep;
    this.#world.onStep = (step) => {
      before?.(step);
      if (step === when.step) this.#strike(fault);
    };
  }

  /** Faults that wait for what a process does strike as it is done. */
  #passed(index: number, member: Member, moment: Moment): void {
    if (this.#members[index] !== member) return;
    const nth = (member.moments.get(moment) ?? 0) + 1;
    member.moments.set(moment, nth);
    for (const fault of this.#plan.faults) {
      if (!('when' in fault) || fault.process !== index || !('moment' in fault.when)) continue;
      if (fault.when.moment !== moment || fault.when.nth !== nth || this.#struck.has(fault)) continue;
      // Its successor is spared.
      this.#struck.add(fault);
      this.#strike(fault);
    }
  }

  #note(event: string, more: string): void {
    this.#ledger.words.push({ at: this.#world.time, event, id: '', holder: '', why: '', more });
  }

  #strike(fault: ProcessFault): void {
    const { process, transport } = this.#members[fault.process] as Member;
    const { time } = this.#world;
    if (!process.alive) return;
    this.#note(fault.kind, `${process.name} ${JSON.stringify(fault)}`);
    switch (fault.kind) {
      case 'kill':
        return this.#kill(fault.process);
      case 'cut':
        return transport.cut();
      case 'block':
        process.blockedUntil = Math.max(process.blockedUntil, time + fault.ms);
        return void this.#ledger.blocks.push({ process: process.name, from: time, to: time + fault.ms });
      case 'jump':
        return void (process.skew += fault.ms);
      case 'stop':
        return void this.#restart(this.#members[fault.process] as Member, fault.ms);
    }
  }

  #strikePlace(fault: PlaceFault): void {
    const { time } = this.#world;
    this.#note(fault.kind, JSON.stringify(fault));
    switch (fault.kind) {
      case 'pause':
        return void ((this.#nodes[fault.node] as Node).pausedUntil = time + fault.ms);
      case 'restart':
        return (this.#nodes[fault.node] as Node).restart(time + fault.ms);
      case 'refuse':
        this.#broker.refuse(QUEUE);
        this.#world.after(fault.ms, () => this.#broker.accept(QUEUE));
    }
  }

  /** A worker stops as it should, and another one starts. */
  async #restart(member: Member, timeout: number): Promise<void> {
    const { worker } = member;
    if (worker === undefined) return;
    member.worker = undefined;
    await worker.stop({ timeout });
    if (member.process.alive) this.#work(member);
  }

  /** Dead at once; another one takes its place. */
  #kill(index: number): void {
    const { process, transport } = this.#members[index] as Member;
    process.alive = false;
    void transport.die();
    for (const body of this.#ledger.bodies) {
      if (body.process === process.name && body.end === 'open')
        Object.assign(body, { end: 'died', ended: this.#world.time });
    }
    this.#world.after(this.#world.random.between(0, 500), () => (this.#members[index] = this.#spawn(index)));
  }

  #watcher(): NetworkTransport {
    const process = this.#world.process('watcher');
    return new NetworkTransport(this.#world, process, this.#broker, { latency: 1, notice: 1 });
  }

  async #readDeadLetters(): Promise<void> {
    const watcher = this.#watcher();
    await watcher.consume(`${QUEUE}.dead`, 1_000, {
      deliver: ({ frame: { headers } }) => {
        this.#ledger.letters.push({ id: String(headers['id']), code: String(headers['dead_code']) });
      },
      lost: () => {},
    });
    await this.#world.run(this.#world.time + 1_000);
  }

  /** Keys that a quorum holds for somebody. */
  async #held(): Promise<string[]> {
    const held: string[] = [];
    for (const key of new Set(this.#ledger.calls.map((call) => call.key))) {
      const records = this.#nodes.map(async ({ guard, process }) => {
        const record = await guard.read(`solotask:lock:recompute:loan:${key}`);
        return record?.owner !== undefined && record.phase !== 'kept' && record.deadline > process.clock.now()
          ? record
          : undefined;
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
  'task:coalesced',
  'task:expired',
  'task:succeeded',
  'task:failed',
  'task:retried',
  'task:dead',
  'task:overdue',
  'lock:lost',
  'lock:waiting',
  'publish:failed',
] as const satisfies readonly EventName[];
