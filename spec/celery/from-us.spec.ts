import amqplib, { type Channel, type ChannelModel } from 'amqplib';
import { expect } from 'chai';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { createApp, Task, TaskError, taskContext, tasks, type App, type SendOptions } from 'solotask';
import { celeryRuns, CeleryWorker, type CeleryRun } from '../support/celery.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

type Wish = Omit<SendOptions, 'queue'>;

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
const LARGE = 'x'.repeat(1_000_000);
const MANY = Array.from({ length: 1_000 }, (_, i) => i);

const ECHOED: readonly (readonly [what: string, wish: Wish, args: readonly unknown[], kwargs?: object])[] = [
  ['without arguments', {}, []],
  ['with arguments', { args: [1, 'two', true] }, [1, 'two', true]],
  ['with arguments by name', { kwargs: { force: true } }, [], { force: true }],
  ['with both', { args: [1], kwargs: { force: null } }, [1], { force: null }],
  [
    'with names that are none in Python',
    { kwargs: { 'a-b': 1, '': 2, __proto__x: 3, ü: 4 } },
    [],
    { 'a-b': 1, '': 2, __proto__x: 3, ü: 4 },
  ],
  ['with null', { args: [null, [null], { a: null }] }, [null, [null], { a: null }]],
  ['with undefined', { args: [undefined, [undefined], { a: undefined }] }, [null, [null], {}]],
  ['with a date', { args: [new Date(0)] }, ['1970-01-01T00:00:00.000Z']],
  ['with nested data', { args: [{ a: [1, { b: [] }] }] }, [{ a: [1, { b: [] }] }]],
  ['with data as deep as we take it', { args: [nested(480)] }, [nested(480)]],
  [
    'with every kind of text',
    { args: ['ü', '漢字', '😀', '\u0000', '"\\', '\u2028'] },
    ['ü', '漢字', '😀', '\u0000', '"\\', '\u2028'],
  ],
  ['with half of a surrogate pair', { args: ['\ud800', { '\udc00': 1 }] }, ['\ud800', { '\udc00': 1 }]],
  [
    'with empty names, and names that JavaScript knows',
    { args: [JSON.parse('{"": 1, "__proto__": 2, "constructor": 3}')] },
    [JSON.parse('{"": 1, "__proto__": 2, "constructor": 3}')],
  ],
  ['with numbers at all ends', { args: [2 ** 53, 2 ** 70, 1e300, 5e-324, -0] }, [2 ** 53, 2 ** 70, 1e300, 5e-324, 0]],
  ['with a megabyte', { args: [LARGE] }, [LARGE]],
  ['with a thousand arguments', { args: MANY }, MANY],
  ['with what kombu would take for its own', { args: [{ __type__: 'decimal' }] }, [{ __type__: 'decimal' }]],
];

const SEEN: readonly (readonly [what: string, wish: Wish, seen: Partial<CeleryRun>])[] = [
  ['its priority', { priority: 7 }, { priority: 7 }],
  ['its time limit', { timeLimit: '300s' }, { timelimit: [null, 300] }],
  ['both of its time limits', { timeLimit: { soft: '1.5s', hard: '5m' } }, { timelimit: [300, 1.5] }],
  ['no eta of a task with a delay', { delay: '1s' }, { eta: null, retries: 0 }],
  ['no header that expires', { expires: '1h' }, { expires: null }],
  [
    'no more than 200 headers would say, and their values',
    { headers: { tenant: 'ü', flag: true, nothing: null, share: 0.5 } },
    { own: own({ tenant: 'ü', flag: true, share: 0.5 }) },
  ],
  [
    'headers with integers of each size',
    { headers: { count: 300, minus: -5, ms: 1_700_000_000_000, back: -1_700_000_000_000, share: 70_000 } },
    { own: own({ count: 300, minus: -5, ms: 1_700_000_000_000, back: -1_700_000_000_000, share: 70_000 }) },
  ],
  [
    'headers beyond integers',
    { headers: { ms: 1e30, back: -1e30, count: -300, minus: -70_000 } },
    { own: own({ ms: 1e30, back: -1e30, count: -300, minus: -70_000 }) },
  ],
  ['a header of 8 KiB', { headers: { tenant: 'x'.repeat(8_000) } }, { own: own({ tenant: 'x'.repeat(8_000) }) }],
];

function own(given: object): Readonly<Record<string, unknown>> {
  const names = ['tenant', 'count', 'minus', 'ms', 'back', 'share', 'flag', 'nothing'];
  return { ...Object.fromEntries(names.map((name) => [name, null])), ...given };
}

const cycle: unknown[] = [];
cycle.push(cycle);
const REFUSED: readonly (readonly [what: string, wish: object, code: string])[] = [
  ['NaN', { args: [Number.NaN] }, 'PAYLOAD'],
  ['Infinity', { kwargs: { a: Infinity } }, 'PAYLOAD'],
  ['a bigint', { args: [1n] }, 'PAYLOAD'],
  ['a Map', { args: [new Map()] }, 'PAYLOAD'],
  ['a cycle', { args: [cycle] }, 'PAYLOAD'],
  ['data that Python cannot read for its depth', { args: [nested(2_000)] }, 'PAYLOAD'],
  ['args that are none', { args: 'abc' }, 'CONFIG'],
  ['kwargs that are none', { kwargs: [1] }, 'CONFIG'],
  ['an empty id', { id: '' }, 'CONFIG'],
  ['an id with control characters', { id: 'a\nb' }, 'CONFIG'],
  ['an id that is too long', { id: 'ü'.repeat(128) }, 'CONFIG'],
  ['a priority that there is not', { priority: 256 }, 'CONFIG'],
  ['a header that would take the place of a part of the request', { headers: { children: 'x' } }, 'CONFIG'],
  ['a header whose name Python has for itself', { headers: { __class__: 'x' } }, 'CONFIG'],
  ['a header whose name is none in Python', { headers: { 'a-b': 'x' } }, 'CONFIG'],
  ['a header that is a list', { headers: { a: [1] } }, 'PAYLOAD'],
  ['headers of more than 64 KiB', { headers: { tenant: 'x'.repeat(70_000) } }, 'CONFIG'],
  ['a hard limit before the soft one', { timeLimit: { soft: '2s', hard: '1s' } }, 'CONFIG'],
  ['a time limit that is none', { timeLimit: 'soon' }, 'CONFIG'],
];

/** What a caller may have meant, and now and then what nobody can have meant. */
const mostly = <T, U>(good: fc.Arbitrary<T>, bad: fc.Arbitrary<U>): fc.Arbitrary<T | U> =>
  fc.oneof({ weight: 30, arbitrary: good }, { weight: 1, arbitrary: bad });
const text = fc.string({ unit: 'binary' });
const json = fc.jsonValue({ stringUnit: 'binary', maxDepth: 6 });
const name = fc.oneof(
  fc.stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,20}$/),
  fc.constantFrom('name', 'type', 'self', 'trail', 'request', 'body', 'task_id', 'meth', 'state', 'message'),
);
const RESERVED = fc.constantFrom('children', 'get', 'id', 'task', 'eta', 'args', '__dict__', '_children', 'clear');
const value = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  text,
  fc.constant(null),
);
const WISH = fc.record(
  {
    args: mostly(fc.array(json), fc.array(fc.anything())),
    kwargs: fc.dictionary(fc.oneof(name, text), json),
    headers: fc.dictionary(mostly(name, fc.oneof(text, RESERVED)), mostly(value, fc.anything())),
    id: mostly(fc.uuid(), text),
    priority: mostly(fc.integer({ min: 0, max: 9 }), fc.oneof(fc.integer(), fc.double())),
    timeLimit: mostly(fc.integer({ min: 1_000, max: 2 ** 50 }), fc.record({ soft: fc.nat(), hard: fc.nat() })),
    expires: mostly(fc.integer({ min: 1, max: 2 ** 50 }), fc.date()),
  },
  { requiredKeys: [] },
);
const TASK = fc.oneof({ weight: 4, arbitrary: fc.constant('spec.echo') }, { weight: 1, arbitrary: text });

describe('our enqueue and a Celery worker', () => {
  const queue = uniqueName('celery');
  const pooled = uniqueName('celery');
  /** With a prefetch of 1 it stands still in a burst, of Celery's own messages too. */
  const solo = new CeleryWorker({ queue, args: ['-P', 'solo', '--prefetch-multiplier', '100'] });
  /** As most run it: its bodies in processes of their own. */
  const prefork = new CeleryWorker({ queue: pooled, args: ['-c', '2', '--prefetch-multiplier', '100'] });
  const redis = new Redis(testRedisUrl());
  const links = { broker: testAmqpUrl(), locks: testRedisUrl(), results: true, namespace: 'celery-specs' };
  let app: App;
  let connection: ChannelModel;
  let channel: Channel;

  before(async () => {
    app = createApp({ ...links, services: [] });
    connection = await amqplib.connect(testAmqpUrl());
    channel = await connection.createChannel();
    await Promise.all([solo.ready(), prefork.ready()]);
  });
  after(async () => {
    redis.disconnect();
    await Promise.all([app.close(), connection.close(), solo.end(), prefork.end()]);
  });
  afterEach(() => expect(troubled([solo, prefork])).to.deep.equal([]));

  const ran = (id: string, where = queue): Promise<CeleryRun> =>
    eventually(
      async () => {
        const found = (await celeryRuns(redis, where)).find((one) => one.id === id);
        if (found === undefined) throw new Error(`no run of ${id}`);
        return found;
      },
      { timeout: 15_000 },
    );
  const send = async (wish: Wish, name = 'spec.echo'): Promise<string> => (await app.send(name, { queue, ...wish })).id;

  for (const [what, wish, args, kwargs = {}] of ECHOED) {
    it(`run a task ${what}`, async () => {
      const run = await ran(await send(wish));
      expect(run.args).to.deep.equal(args);
      expect(run.kwargs).to.deep.equal(kwargs);
    });
  }

  describe('with somebody who brings what is due', () => {
    let relay: App;
    before(async () => {
      const ours = uniqueName('queue');
      class Ours {
        @Task({ queue: ours })
        async unused() {}
      }
      relay = createApp({ ...links, services: [Ours] });
      await relay.worker().start();
    });
    after(() => relay.close());

    for (const [what, wish, seen] of SEEN) {
      it(`show it ${what}`, async () => {
        expect(await ran(await send(wish))).to.deep.include(seen);
      });
    }

    for (const [what, wish] of [
      ['a delay', () => ({ delay: '2s' })],
      ['a moment', () => ({ at: new Date(Date.now() + 2_000) })],
    ] as const) {
      it(`hold a task with ${what} on our side: the Celery worker gets it when it is due`, async () => {
        const idle = uniqueName('celery');
        await channel.assertQueue(idle, { durable: true });
        const sent = Date.now();
        await app.send('spec.echo', { queue: idle, ...wish() });
        const id = await send(wish());
        expect((await channel.checkQueue(idle)).messageCount).to.equal(0);
        expect((await ran(id)).at - sent).to.be.within(1_900, 6_000);
        await eventually(async () => expect((await channel.checkQueue(idle)).messageCount).to.equal(1));
        await channel.deleteQueue(idle);
      });
    }
  });

  it('stop no pool by a time limit of minutes, nor a worker by a header of 16 bits', async () => {
    for (const wish of [{ timeLimit: '300s' }, { headers: { count: 32_767 } }, { headers: { count: -32_768 } }]) {
      const { id } = await app.send('spec.echo', { queue: pooled, ...wish });
      const { timelimit, own: headers } = await ran(id, pooled);
      expect([timelimit, headers['count']]).to.deep.equal(
        wish.timeLimit === undefined ? [[null, null], wish.headers.count] : [[null, 300], null],
      );
    }
  });

  it('let the broker drop a task that expires before anybody takes it', async () => {
    const idle = uniqueName('celery');
    await channel.assertQueue(idle, { durable: true });
    await app.send('spec.echo', { queue: idle, expires: '300ms' });
    expect((await channel.checkQueue(idle)).messageCount).to.equal(1);
    await eventually(async () => expect((await channel.checkQueue(idle)).messageCount).to.equal(0));
    await channel.deleteQueue(idle);
  });

  it('take no longer than the broker for an expiry', async () => {
    const idle = uniqueName('celery');
    await channel.assertQueue(idle, { durable: true });
    await app.send('spec.echo', { queue: idle, expires: new Date('2200-01-01') });
    const message = await channel.get(idle, { noAck: true });
    expect(message).to.have.nested.property('properties.expiration', String(10 * 365 * 86_400_000));
    await channel.deleteQueue(idle);
  });

  it('carry ids of every alphabet', async () => {
    for (const id of ['ü/ä?*{}<>:%', '😀'.repeat(50), "'; DROP", '../../etc']) {
      expect(await ran(await send({ id: `${id} ${Math.random()}` }))).to.have.property('task', 'spec.echo');
    }
  });

  it('leave a task that the worker does not know to it: it is discarded, and the sender told', async () => {
    const receipt = await app.send('täsk.ünknown😀', { queue });
    const failure: unknown = await receipt.result({ timeout: '10s' }).catch((error: unknown) => error);
    expect(failure).to.have.property('code', 'TASK_FAILED');
    expect(failure).to.have.nested.property('data.type', 'NotRegistered');
  });

  it('go through its retries under one id', async () => {
    const receipt = await app.send('spec.again', { queue, args: ['x'] });
    expect(await receipt.result({ timeout: '15s' })).to.equal(3);
    const runs = (await celeryRuns(redis, queue)).filter(({ id }) => id === receipt.id);
    expect(runs.map(({ retries, args }) => [retries, args])).to.deep.equal([
      [0, ['x']],
      [1, ['x']],
      [2, ['x']],
    ]);
  });

  describe('with tasks of ours on its queue', () => {
    const ours = uniqueName('queue');
    class Celerys {
      @Task({ name: 'spec.echo', queue, timeLimit: '300s', priority: 3, expires: '1h' })
      async echo(..._args: unknown[]) {}
      @Task({ name: 'spec.add', queue, unique: { key: 'add:<a>', ttl: '2s' } })
      async add(a: number, _b?: number) {
        return a;
      }
    }
    class Ours {
      @Task({ queue: ours })
      async outer() {
        await tasks(Ours).inner();
        return taskContext().id;
      }
      @Task({ queue: ours })
      async inner() {
        await tasks(Celerys).echo('inner', taskContext().id);
      }
    }
    let declared: App;
    before(async () => {
      declared = createApp({ ...links, queues: { [queue]: { passive: true } }, services: [Celerys, Ours] });
      await declared.worker({ queues: [ours] }).start();
    });
    after(() => declared.close());

    it('run what a stub enqueues, with the settings of its @Task', async () => {
      const { id } = await declared.tasks(Celerys).echo(1, { a: null });
      const seen = {
        args: [1, { a: null }],
        timelimit: [null, 300],
        priority: 3,
        expires: null,
        rootId: id,
        parentId: null,
      };
      expect(await ran(id)).to.deep.include(seen);
    });

    it('run a unique task, and not its duplicate', async () => {
      const a = Math.random();
      const [first, second] = await Promise.all([declared.tasks(Celerys).add(a, 1), declared.tasks(Celerys).add(a, 2)]);
      expect([first.status, second.status].toSorted()).to.deep.equal(['discarded', 'enqueued']);
      expect(second.id).to.equal(first.id);
      expect((await ran(first.id)).args).to.have.length(2);
      await eventually(async () =>
        expect(await declared.tasks(Celerys).add(a, 3)).to.have.property('status', 'enqueued'),
      );
    });

    it('run a batch', async () => {
      const receipts = await declared.enqueueMany(Celerys, 'echo', [[1], [2], [3]]);
      const runs = await Promise.all(receipts.map(({ id }) => ran(id)));
      expect(runs.map(({ args }) => args)).to.deep.equal([[1], [2], [3]]);
    });

    it('run what a transaction enqueued, after its commit', async () => {
      const receipt = await declared.transaction(() => declared.tasks(Celerys).echo('committed'));
      expect((await ran(receipt.id)).args).to.deep.equal(['committed']);
      let id = '';
      const rollback = declared.transaction(async () => {
        ({ id } = await declared.tasks(Celerys).echo('rolled back'));
        throw new Error('rollback');
      });
      expect(await rollback.catch((error: Error) => error.message)).to.equal('rollback');
      await ran(await send({}));
      expect((await celeryRuns(redis, queue)).map((run) => run.id)).to.not.include(id);
    });

    it('see where a task came from: its parent, and the root of both', async () => {
      const root = await declared.tasks(Ours).outer();
      const run = await eventually(async () => {
        const found = (await celeryRuns(redis, queue)).find(({ rootId, id }) => rootId === root.id && id !== root.id);
        if (found === undefined) throw new Error('no run');
        return found;
      });
      expect(run.args).to.deep.equal(['inner', run.parentId]);
      expect(run.parentId).to.not.equal(root.id);
    });
  });

  for (const [what, wish, code] of REFUSED) {
    it(`never meet in ${what}: it is refused`, async () => {
      const thrown: unknown = await send(wish as Wish).catch((error: unknown) => error);
      expect(thrown).to.be.instanceOf(TaskError).and.have.property('code', code);
    });
  }

  it('survive each other, whatever is sent: nothing that would stop a worker leaves', async () => {
    const looked = uniqueName('raw');
    await channel.assertQueue(looked, { durable: true });
    let sent = 0;
    const submit = async (options: object, called: string): Promise<void> => {
      for (const to of [looked, queue, pooled]) {
        const end: unknown = await app.send(called, { ...options, queue: to }).catch((error: unknown) => error);
        if (end instanceof Error) expect(end).to.be.instanceOf(TaskError);
        else sent += 1;
      }
      const message = await channel.get(looked, { noAck: true });
      if (message === false) return;
      const { contentType, correlationId, headers } = message.properties;
      expect([contentType, typeof headers?.['id'], headers?.['id'], headers?.['task']]).to.deep.equal([
        'application/json',
        'string',
        correlationId,
        called,
      ]);
      expect(JSON.parse(message.content.toString())).to.be.an('array').of.length(3);
    };
    await fc.assert(fc.asyncProperty(WISH, TASK, submit), { numRuns: 300 });
    expect(sent).to.be.above(300);
    for (const to of [queue, pooled]) {
      const good = await app.send('spec.echo', { queue: to, args: ['good'] });
      expect((await ran(good.id, to)).args).to.deep.equal(['good']);
      await eventually(async () => expect((await channel.checkQueue(to)).messageCount).to.equal(0));
    }
    await channel.deleteQueue(looked);
  }).timeout(60_000);
});

/** What went wrong in these workers: they ended, or lost their connection over a message. */
function troubled(workers: readonly CeleryWorker[]): string[] {
  return workers
    .filter(
      ({ alive, log }) =>
        !alive || /connection to broker lost|Traceback[^]*(amqp|kombu)\/[^]*FrameSyntaxError/i.test(log),
    )
    .map(({ log }) => log.slice(-3_000));
}
