import amqplib, { type Channel, type ChannelModel, type Options } from 'amqplib';
import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { createApp, Task, taskContext, type App } from 'solotask';
import { CeleryPeer, CeleryWorker } from '../support/celery.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

/** What a run of ours has told. */
interface Told {
  readonly id: string;
  readonly args: readonly unknown[];
  readonly attempt: number;
  readonly key: string | undefined;
  readonly at: number;
}

/** A message of a foreign producer, by the bare driver. */
interface RawMessage {
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly properties?: Options.Publish;
}

type Wish = Readonly<Record<string, unknown>>;

const iso = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();
/** As `datetime.utcnow().isoformat()` writes it. */
const naive = (seconds: number): string => iso(seconds).replace('Z', '');
/** The same moment on a clock in India. */
const inIndia = (seconds: number): string => `${naive(seconds + 5.5 * 3600)}+05:30`;

const LARGE = 'x'.repeat(1_000_000);

const RUN: readonly (readonly [what: string, command: string, wish: Wish, args: readonly unknown[]])[] = [
  ['with delay', 'call', { task: 'to.echo', how: 'delay', args: [1, 'two'] }, [1, 'two']],
  ['with apply_async', 'call', { task: 'to.echo', how: 'apply_async', args: [1] }, [1]],
  ['without arguments', 'send', { task: 'to.echo' }, []],
  ['with arguments by name', 'send', { task: 'to.loan', kwargs: { loanId: 42, force: true } }, [42, true]],
  [
    'with one by position and one by name',
    'send',
    { task: 'to.loan', args: [42], kwargs: { force: true } },
    [42, true],
  ],
  ['with a default left out', 'send', { task: 'to.loan', kwargs: { loanId: 42 } }, [42, false]],
  ['with None', 'send', { task: 'to.echo', args: [null, [null], { a: null }] }, [null, [null], { a: null }]],
  ['with nested data', 'send', { task: 'to.echo', args: [[[{ a: [1, { b: [] }] }]]] }, [[[{ a: [1, { b: [] }] }]]]],
  [
    'with every kind of text',
    'send',
    { task: 'to.echo', args: ['ü', '漢字', '😀', '\u0000', '"\\'] },
    ['ü', '漢字', '😀', '\u0000', '"\\'],
  ],
  ['with half of a surrogate pair', 'send', { task: 'to.echo', python: String.raw`["\ud800"]` }, ['\ud800']],
  ['with numbers', 'send', { task: 'to.echo', args: [0.1, -1e-300, 1e300, 2 ** 53] }, [0.1, -1e-300, 1e300, 2 ** 53]],
  ['with an integer that only Python counts', 'send', { task: 'to.echo', python: '[2**70]' }, [2 ** 70]],
  ['with a tuple', 'send', { task: 'to.echo', python: '((1, 2),)' }, [[1, 2]]],
  [
    'with a date, a decimal number and a UUID',
    'send',
    {
      task: 'to.echo',
      python: '[datetime(2030, 1, 31, 8, tzinfo=timezone.utc), date(2030, 1, 31), Decimal("1.50"), uuid.UUID(int=1)]',
    },
    ['2030-01-31T08:00:00Z', '2030-01-31T00:00:00', '1.50', '00000000-0000-0000-0000-000000000001'],
  ],
  ['with a megabyte', 'send', { task: 'to.echo', args: [LARGE] }, [LARGE]],
  [
    'with headers of its own',
    'send',
    {
      task: 'to.echo',
      args: [1],
      options: { headers: { tenant: 'a', 'x-trace': 'b', n: 300, deep: { a: [1.5, null, true] } } },
    },
    [1],
  ],
  [
    'with headers of 64 bits, positive and negative',
    'send',
    {
      task: 'to.echo',
      args: [1],
      options: { headers: { ms: 1_700_000_000_000, back: -1_700_000_000_000, deep: { a: [2 ** 40] } } },
    },
    [1],
  ],
  ['with compression gzip', 'send', { task: 'to.echo', args: ['ü'], options: { compression: 'gzip' } }, ['ü']],
  ['with compression zlib', 'send', { task: 'to.echo', args: [LARGE], options: { compression: 'zlib' } }, [LARGE]],
  [
    'with a priority that its queue does not know',
    'send',
    { task: 'to.echo', args: [1], options: { priority: 9 } },
    [1],
  ],
  ['with ignore_result', 'send', { task: 'to.echo', args: [1], options: { ignore_result: true } }, [1]],
  ['with a shadow name', 'send', { task: 'to.echo', args: [1], options: { shadow: 'another.name' } }, [1]],
  ['with a group id', 'send', { task: 'to.echo', args: [1], options: { group_id: 'g', group_index: 0 } }, [1]],
  [
    'with reply_to, as the rpc backend sets it',
    'send',
    { task: 'to.echo', args: [1], options: { reply_to: 'somebody' } },
    [1],
  ],
  [
    'with time limits that it keeps',
    'send',
    { task: 'to.echo', args: [1], options: { time_limit: 30, soft_time_limit: 20.5 } },
    [1],
  ],
  ['with an eta in the past', 'send', { task: 'to.echo', args: [1], options: { eta: naive(-60) } }, [1]],
  ['that expires later, by seconds', 'send', { task: 'to.echo', args: [1], options: { expires: 60 } }, [1]],
  ['that was tried before', 'send', { task: 'to.echo', args: [1], options: { retries: 1 } }, [1]],
  ['of a group', 'group', { first: 'to.echo', second: 'to.echo' }, [1]],
];

const LATER: readonly (readonly [what: string, options: () => Wish])[] = [
  ['a countdown', () => ({ countdown: 1.2 })],
  ['a naive eta', () => ({ eta: naive(1.2) })],
  ['an eta with an offset', () => ({ eta: inIndia(1.2) })],
];

const DEAD: readonly (readonly [what: string, command: string, wish: Wish, code: string, reason: RegExp])[] = [
  [
    'by a name that is no parameter',
    'send',
    { task: 'to.loan', kwargs: { loanID: 1 } },
    'PAYLOAD',
    /loanID: is no parameter.*loanId/,
  ],
  [
    'by position and by name at once',
    'send',
    { task: 'to.loan', args: [1], kwargs: { loanId: 1 } },
    'PAYLOAD',
    /position and by name/,
  ],
  ['of an unknown task', 'send', { task: 'to.nobody' }, 'UNKNOWN_TASK', /declares the task to\.nobody/],
  ['with NaN', 'send', { task: 'to.echo', python: '[float("nan")]' }, 'UNREADABLE', /not JSON.*NaN/],
  ['with a link', 'send', { task: 'to.echo', options: { link: 'to.echo' } }, 'UNREADABLE', /callbacks.*not supported/],
  [
    'with a link_error',
    'send',
    { task: 'to.echo', options: { link_error: 'to.echo' } },
    'UNREADABLE',
    /errbacks.*not supported/,
  ],
  ['that begins a chain', 'chain', { first: 'to.echo', second: 'to.echo' }, 'UNREADABLE', /chain.*not supported/],
  ['that belongs to a chord', 'chord', { first: 'to.echo', second: 'to.echo' }, 'UNREADABLE', /chord.*not supported/],
  [
    'with compression bzip2',
    'send',
    { task: 'to.echo', options: { compression: 'bzip2' } },
    'UNREADABLE',
    /'application\/x-bz2' is not supported/,
  ],
  [
    'pickled',
    'send',
    { task: 'to.echo', options: { serializer: 'pickle' } },
    'UNREADABLE',
    /'application\/x-python-serialize', not/,
  ],
  ['in YAML', 'send', { task: 'to.echo', options: { serializer: 'yaml' } }, 'UNREADABLE', /'application\/x-yaml', not/],
  ["of Celery's first protocol", 'send_v1', { task: 'to.echo', args: [1] }, 'UNREADABLE', /only 2 is read/],
];

const GOOD = '[[1], {}, {}]';
const json = { contentType: 'application/json', contentEncoding: 'utf-8' };
const echo = (): Record<string, unknown> => ({ task: 'to.echo', id: randomUUID() });
const KOMBU_53 = [
  ['datetime', '2030-01-31T08:00:00+00:00'],
  ['decimal', '1.50'],
  ['uuid', { hex: '0'.repeat(31) + '1', version: null }],
];

const MALFORMED: readonly (readonly [what: string, message: RawMessage, code: string, reason: RegExp])[] = [
  ['without an id', { body: GOOD, headers: { task: 'to.echo' } }, 'UNREADABLE', /header 'id' is missing/],
  ['without a task', { body: GOOD, headers: { id: 'x' } }, 'UNREADABLE', /header 'task' is missing/],
  ['without headers', { body: GOOD }, 'UNREADABLE', /header 'id' is missing/],
  [
    'with an id that is no text',
    { body: GOOD, headers: { task: 'to.echo', id: 7 } },
    'UNREADABLE',
    /header 'id' is missing/,
  ],
  ['of two elements', { body: '[[1], {}]', headers: echo() }, 'UNREADABLE', /three elements/],
  ['that is an object', { body: '{"args": [1]}', headers: echo() }, 'UNREADABLE', /three elements/],
  ['with args that are none', { body: '[{}, {}, {}]', headers: echo() }, 'UNREADABLE', /args, is not an array/],
  ['with kwargs that are none', { body: '[[], [], {}]', headers: echo() }, 'UNREADABLE', /kwargs, is not an object/],
  ['that is no JSON', { body: 'hello', headers: echo() }, 'UNREADABLE', /not JSON/],
  ['that is empty', { body: '', headers: echo() }, 'UNREADABLE', /not JSON/],
  ['of binary junk', { body: Buffer.from([0xff, 0x00, 0xfe]), headers: echo() }, 'UNREADABLE', /not UTF-8/],
  [
    'without a content type',
    { body: GOOD, headers: echo(), properties: { contentType: '' } },
    'UNREADABLE',
    /content type/,
  ],
  [
    'with a wrong encoding',
    { body: GOOD, headers: echo(), properties: { contentEncoding: 'latin-1' } },
    'UNREADABLE',
    /'latin-1'/,
  ],
  [
    'with a compression that it does not have',
    { body: GOOD, headers: { ...echo(), compression: 'application/x-gzip' } },
    'UNREADABLE',
    /decompressed/,
  ],
];

const ODD: readonly (readonly [what: string, message: RawMessage, args: readonly unknown[]])[] = [
  ['retries that are a text', { body: GOOD, headers: { ...echo(), retries: 'many' } }, [1]],
  ['an eta that is none', { body: GOOD, headers: { ...echo(), eta: 'tomorrow' } }, [1]],
  ['an expires that is none', { body: GOOD, headers: { ...echo(), expires: 5 } }, [1]],
  ['time limits that are none', { body: GOOD, headers: { ...echo(), timelimit: 'soon' } }, [1]],
  ['lock headers of a wrong type', { body: GOOD, headers: { ...echo(), lock_key: 1, lock_mode: {} } }, [1]],
  ['no embed', { body: '[[1], {}, null]', headers: echo() }, [1]],
  [
    'what kombu writes from 5.3 on for a date, a decimal number and a UUID',
    {
      body: JSON.stringify([KOMBU_53.map(([__type__, __value__]) => ({ __type__, __value__ })), {}, {}]),
      headers: { ...echo(), lang: 'py' },
    },
    ['2030-01-31T08:00:00+00:00', '1.50', '00000000-0000-0000-0000-000000000001'],
  ],
];

const PLACES = [
  ['a queue that Celery declared', true],
  ['a quorum queue of ours', false],
] as const;

for (const [place, celerys] of PLACES) {
  describe(`a Celery producer and our worker, on ${place}`, () => {
    const queue = uniqueName('celery');
    const peer = new CeleryPeer({ queue });
    const told: Told[] = [];
    const dead: Wish[] = [];
    let app: App;
    let connection: ChannelModel;
    let channel: Channel;

    before(async () => {
      if (celerys) await peer.ask('declare', { queue });
      else await peer.ask('borrow', { queue });
      const tell = (...args: readonly unknown[]): unknown => {
        const { id, attempt, key } = taskContext();
        told.push({ id, attempt, key, args, at: Date.now() });
        return args;
      };
      class To {
        @Task({ name: 'to.echo', queue })
        async echo(...args: unknown[]) {
          return tell(...args);
        }
        @Task({ name: 'to.loan', queue })
        async loan(loanId: number, force = false) {
          return tell(loanId, force);
        }
        @Task({ name: 'to.unique', queue, unique: 'loan:<loanId>' })
        async unique(loanId: number) {
          return tell(loanId);
        }
        @Task({ name: 'to.slow', queue, retry: 1 })
        async slow() {
          const { signal } = taskContext();
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        }
        @Task({ name: 'spec.again', queue })
        async again(...args: unknown[]) {
          return tell(...args);
        }
      }
      const queues = celerys ? { [queue]: { passive: true } } : {};
      const links = { broker: testAmqpUrl(), locks: testRedisUrl(), results: true, namespace: 'celery-specs' };
      app = createApp({ ...links, queues, services: [To] });
      await app.worker({ concurrency: 5 }).start();
      connection = await amqplib.connect(testAmqpUrl());
      channel = await connection.createChannel();
      const keep = (message: amqplib.ConsumeMessage | null): void => void dead.push(message?.properties.headers ?? {});
      await channel.consume(`${queue}.dead`, keep, { noAck: true });
    });
    after(async () => {
      await app.close();
      await connection.close();
      await peer.close();
    });
    beforeEach(() => {
      told.length = 0;
      dead.length = 0;
    });

    const ask = async (command: string, wish: Wish): Promise<string> => {
      const given = ['chain', 'chord', 'group'].includes(command) ? { queue, ...wish } : wish;
      const id = await peer.ask<string | string[]>(command === 'call' ? 'call_any' : command, given);
      return typeof id === 'string' ? id : (id[0] ?? '');
    };
    const raw = ({ body, headers, properties }: RawMessage): void =>
      void channel.sendToQueue(queue, Buffer.from(body as string), { ...json, ...properties, headers: { ...headers } });
    const run = (id: string): Promise<Told> =>
      eventually(() => {
        const found = told.find((one) => one.id === id);
        if (found === undefined) throw new Error(`no run of ${id}; dead: ${JSON.stringify(dead)}`);
        return found;
      });

    for (const [what, command, wish, args] of RUN) {
      it(`runs a task ${what}`, async () => {
        expect((await run(await ask(command, wish))).args).to.deep.equal(args);
        expect(dead).to.deep.equal([]);
      });
    }

    it('runs a task that expires later, by a moment', async () => {
      const options = { expires: `${naive(60)}+00:00` };
      expect((await run(await ask('send', { task: 'to.echo', args: [1], options }))).args).to.deep.equal([1]);
    });

    for (const [what, options] of LATER) {
      it(`runs a task with ${what} when it is due, and not before`, async () => {
        const sent = Date.now();
        const { at } = await run(await ask('send', { task: 'to.echo', args: [1], options: options() }));
        expect(at - sent).to.be.within(1_100, 4_000);
      });
    }

    for (const [what, message, args] of ODD) {
      it(`runs a task with ${what}`, async () => {
        raw(message);
        expect((await run(String(message.headers?.['id']))).args).to.deep.equal(args);
      });
    }

    it('drops a task that has expired, and says so to whoever waits', async () => {
      for (const expires of [-1, `${naive(-60)}+00:00`]) {
        const id = await ask('send', { task: 'to.echo', options: { expires } });
        const shown = await eventually(async () => {
          const { state, result } = await peer.ask<{ state: string; result: string }>('state', { id });
          expect(state).to.equal('REVOKED');
          return result;
        });
        expect(shown).to.contain('expired');
      }
      expect([told, dead]).to.deep.equal([[], []]);
    });

    it('ends a task by the time limit of its sender', async () => {
      const id = await ask('send', { task: 'to.slow', options: { time_limit: 5, soft_time_limit: 0.2 } });
      await eventually(() => expect(dead).to.have.length(1));
      expect(dead[0]).to.include({ id, dead_code: 'TIME_LIMIT' });
    });

    it("computes the key of a unique task from Celery's arguments: two at once run one after the other, under one key", async () => {
      const ids = await Promise.all([
        ask('send', { task: 'to.unique', args: [7] }),
        ask('send', { task: 'to.unique', kwargs: { loanId: 7 } }),
      ]);
      await run(ids[0] as string);
      await eventually(async () => {
        for (const id of ids)
          expect((await peer.ask<{ state: string }>('state', { id })).state).to.be.oneOf(['SUCCESS', 'REVOKED']);
      });
      for (const { key } of told) expect(key).to.equal('loan:7');
      expect(dead).to.deep.equal([]);
    });

    for (const [what, command, wish, code, reason] of DEAD) {
      it(`puts a task ${what} into the dead letters, with the reason`, async () => {
        await ask(command, wish);
        await eventually(() => expect(dead).to.have.length(1));
        expect(dead[0]).to.include({ dead_code: code, dead_queue: queue });
        expect(dead[0]?.['dead_reason']).to.match(reason);
        expect(told).to.deep.equal([]);
      });
    }

    for (const [what, message, code, reason] of MALFORMED) {
      it(`puts a message ${what} into the dead letters, with the reason`, async () => {
        raw(message);
        await eventually(() => expect(dead).to.have.length(1));
        expect(dead[0]).to.include({ dead_code: code, dead_queue: queue });
        expect(dead[0]?.['dead_reason']).to.match(reason);
        expect(told).to.deep.equal([]);
      });
    }

    it('goes on after all of it, and leaves nothing in the queue nor unacknowledged', async () => {
      await run(await ask('send', { task: 'to.echo', args: ['good'] }));
      await app.close();
      await eventually(async () => expect((await channel.checkQueue(queue)).messageCount).to.equal(0));
    });
  });
}

describe('a task whose first try a Celery worker makes', () => {
  it('is tried again by our worker, later, as the second attempt', async () => {
    const [queue, ours] = [uniqueName('celery'), uniqueName('queue')];
    const worker = new CeleryWorker({ queue });
    const peer = new CeleryPeer({ queue: ours });
    const told: Told[] = [];
    class To {
      @Task({ name: 'spec.over', queue: ours })
      async over(...args: unknown[]) {
        const { id, attempt, key } = taskContext();
        told.push({ id, attempt, key, args, at: Date.now() });
      }
    }
    const links = { broker: testAmqpUrl(), locks: testRedisUrl(), results: true, namespace: 'celery-specs' };
    const app = createApp({ ...links, queues: { [ours]: { passive: true } }, services: [To] });
    try {
      await Promise.all([worker.ready(), peer.ask('declare', { queue: ours })]);
      await app.worker().start();
      const sent = Date.now();
      const { id } = await app.send('spec.over', { queue, args: [ours, 42], headers: { tenant: 'a' } });
      await eventually(() => expect(told).to.have.length(1), { timeout: 10_000 });
      expect(told[0]).to.deep.include({ id, attempt: 2, args: [42] });
      expect((told[0]?.at ?? 0) - sent).to.be.at.least(1_000);
    } finally {
      await app.close();
      await Promise.all([worker.end(), peer.close()]);
    }
  });
});

describe('a classic queue with priorities, on which Celery producers enqueue', () => {
  it('gives the more urgent of what waits first', async () => {
    const queue = uniqueName('celery');
    const peer = new CeleryPeer({ queue });
    const told: unknown[] = [];
    class To {
      @Task({ name: 'to.echo', queue })
      async echo(what: string) {
        told.push(what);
      }
    }
    const links = { broker: testAmqpUrl(), locks: testRedisUrl(), namespace: 'celery-specs' };
    const app = createApp({ ...links, queues: { [queue]: { type: 'classic', maxPriority: 9 } }, services: [To] });
    try {
      await Promise.all([app.connect(), peer.ask('borrow', { queue })]);
      for (const priority of [1, 5, 9]) {
        await peer.ask('send', { task: 'to.echo', args: [`with ${priority}`], options: { priority } });
      }
      await app.worker({ concurrency: 1, prefetch: 1 }).start();
      await eventually(() => expect(told).to.deep.equal(['with 9', 'with 5', 'with 1']));
    } finally {
      await app.close();
      await peer.close();
    }
  });
});
