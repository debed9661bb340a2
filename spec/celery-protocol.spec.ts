import { deflateSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import { deadLetter, decodeBody, decodeHead, encode, republish } from '../lib/celery-protocol.js';
import { ConfigError, PayloadError, UnreadableMessageError } from '../lib/errors.js';
import type { Frame, Headers, TaskMessage } from '../lib/message.js';

const ID = '3f0c2a4e-6d0e-4c0e-9a43-0d9f5b8a7c11';

const message = (changes: Partial<TaskMessage> = {}): TaskMessage => ({
  id: ID,
  task: 'loans.recompute',
  attempt: 1,
  lock: undefined,
  enqueuedAt: 1_700_000_000_123,
  priority: undefined,
  rootId: undefined,
  parentId: undefined,
  headers: {},
  args: [],
  kwargs: {},
  ...changes,
});

/** A frame as `app.send_task('loans.recompute', …)` of Celery 5.2 puts it into RabbitMQ, written by hand. */
const celery = (body: string, headers: Headers = {}): Frame => ({
  properties: {
    contentType: 'application/json',
    contentEncoding: 'utf-8',
    correlationId: ID,
    replyTo: '9a3f5d2c-1b7e-3c55-8a6e-7d1e0f6b2c44',
    priority: 0,
  },
  headers: {
    lang: 'py',
    task: 'loans.recompute',
    id: ID,
    shadow: null,
    eta: null,
    expires: null,
    group: null,
    group_index: null,
    retries: 0,
    timelimit: [null, null],
    root_id: ID,
    parent_id: null,
    argsrepr: '(42,)',
    kwargsrepr: '{}',
    origin: 'gen4711@django',
    ignore_result: false,
    ...headers,
  },
  body: Buffer.from(body),
});

const EMBED = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}';

const unreadable = (frame: Frame): UnreadableMessageError => {
  try {
    decodeBody(frame);
  } catch (error) {
    if (error instanceof UnreadableMessageError) return error;
    throw error;
  }
  throw new Error('the body was read');
};

describe('the codec, writing', () => {
  it('writes what a Celery 5 worker takes', () => {
    const lock = { key: 'loan:42', mode: 'enqueue', fence: 1_700_000_000_123_456 } as const;
    const frame = encode(message({ args: [42], kwargs: { dry: true }, lock, priority: 3 }), '17@host');
    expect(frame.properties).to.deep.equal({
      contentType: 'application/json',
      contentEncoding: 'utf-8',
      correlationId: ID,
      messageId: ID,
      timestamp: 1_700_000_000,
      priority: 3,
    });
    expect(frame.headers).to.deep.equal({
      lang: 'js',
      task: 'loans.recompute',
      id: ID,
      root_id: ID,
      parent_id: null,
      group: null,
      shadow: null,
      eta: null,
      expires: null,
      retries: 0,
      timelimit: [null, null],
      argsrepr: '[42]',
      kwargsrepr: '{"dry":true}',
      origin: '17@host',
      ignore_result: false,
      attempt: 1,
      enqueued_at: 1_700_000_000_123,
      lock_key: 'loan:42',
      lock_mode: 'enqueue',
      lock_fence: '1700000000123456',
    });
    expect(frame.body.toString()).to.equal(
      '[[42],{"dry":true},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]',
    );
  });

  it('keeps the texts for people short', () => {
    const { headers } = encode(message({ args: ['x'.repeat(100_000)] }), 'spec');
    expect(JSON.stringify(headers).length).to.be.below(2000);
  });

  it('refuses ids and names that would stop a Celery worker, and takes long and odd ones', () => {
    for (const changes of [{ id: '' }, { id: 'x'.repeat(256) }, { task: '' }, { priority: 1.5 }, { priority: 256 }]) {
      expect(() => encode(message(changes), 'spec'), JSON.stringify(changes)).to.throw(ConfigError);
    }
    const id = '<a b>{}:%é'.padEnd(254, 'x');
    expect(decodeHead(encode(message({ id, task: id }), 'spec'))).to.include({ id, task: id });
  });

  /** Not for a Celery worker to survive. */
  const REQUEST = ['_children', '__class__', '_x', 'children', 'clear', 'get', 'update', 'as_execution_options'];

  it('refuses headers that are not names for Python, belong to the wire format, or cannot travel', () => {
    const wrong = ['a-b', 'x-death', '', '1a', 'é', 'lock_key', 'copy', 'due', 'CC', 'hostname', 'eta'];
    for (const name of wrong.concat(REQUEST)) {
      expect(() => encode(message({ headers: { [name]: 1 } }), 'spec'), name).to.throw(ConfigError);
    }
    for (const value of [undefined, Number.NaN, 1n, {}, [], () => 1]) {
      expect(() => encode(message({ headers: { mine: value } }), 'spec')).to.throw(PayloadError, 'headers.mine');
    }
    expect(encode(message({ headers: { mine: 'yes' } }), 'spec').headers['mine']).to.equal('yes');
  });

  it('refuses arguments that are no JSON', () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    for (const args of [[1n], cycle]) expect(() => encode(message({ args }), 'spec')).to.throw(PayloadError, 'args');
  });
});

describe('the codec, reading', () => {
  it('gives back every message that it wrote', () => {
    const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as unknown);
    const name = fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' });
    const arbitrary = fc.record({
      id: name,
      task: name,
      attempt: fc.integer({ min: 1, max: 1000 }),
      lock: fc.option(
        fc.record({
          key: name,
          mode: fc.constantFrom('enqueue' as const, 'worker' as const),
          fence: fc.option(fc.integer({ min: 1, max: 2 ** 52 }), { nil: undefined }),
        }),
        { nil: undefined },
      ),
      enqueuedAt: fc.nat(),
      args: fc.array(json),
      kwargs: fc.dictionary(fc.string({ minLength: 1 }), json),
      rootId: fc.option(name, { nil: undefined }),
      parentId: fc.option(name, { nil: undefined }),
    });
    fc.assert(
      fc.property(arbitrary, (changes) => {
        const frame = encode(message(changes), 'spec');
        const { args, kwargs, ...head } = changes;
        const more = { expires: undefined, timeLimit: undefined, standIn: undefined, suspect: false };
        const defaults = { copy: '', due: undefined, ignoreResult: false, ...more };
        expect(decodeHead(frame)).to.deep.equal({ ...head, ...defaults, rootId: head.rootId ?? head.id });
        expect(JSON.stringify(decodeBody(frame))).to.equal(JSON.stringify({ args, kwargs }));
      }),
    );
  });

  it('never throws anything but its own error, whatever the headers and the bytes are', () => {
    const headers = fc.dictionary(
      fc.constantFrom('id', 'task', 'eta', 'expires', 'retries', 'lock_key', 'lock_mode', 'lock_fence', 'compression'),
      fc.oneof(fc.anything(), fc.string(), fc.constantFrom('application/x-gzip', 'worker', 'enqueue')),
    );
    fc.assert(
      fc.property(headers, fc.uint8Array(), (some, bytes) => {
        const frame = { ...celery(''), headers: some, body: Buffer.from(bytes) };
        for (const decode of [decodeHead, decodeBody]) {
          try {
            decode(frame);
          } catch (error) {
            expect(error).to.be.instanceOf(UnreadableMessageError);
          }
        }
      }),
    );
  });

  it('reads what a Celery producer sends: positional and named arguments', () => {
    const frame = celery(`[[42, "a"], {"dry_run": true}, ${EMBED}]`);
    expect(decodeHead(frame)).to.deep.equal({
      id: ID,
      task: 'loans.recompute',
      attempt: 1,
      lock: undefined,
      copy: '',
      enqueuedAt: undefined,
      due: undefined,
      expires: undefined,
      standIn: undefined,
      suspect: false,
      rootId: ID,
      parentId: undefined,
      timeLimit: undefined,
      ignoreResult: false,
    });
    expect(decodeBody(frame)).to.deep.equal({ args: [42, 'a'], kwargs: { dry_run: true } });
  });

  it('reads what kombu marks as a type of Python, of a foreign sender alone', () => {
    const marked = (type: string, value: unknown) => ({ __type__: type, __value__: value });
    const uuid = marked('uuid', { hex: '0123456789abcdef0123456789abcdef', version: 4 });
    const args = [marked('datetime', '2030-01-31T08:00:00+00:00'), { deep: [marked('decimal', '1.50'), uuid] }];
    const body = JSON.stringify([args, {}, {}]);
    expect(decodeBody(celery(body)).args).to.deep.equal([
      '2030-01-31T08:00:00+00:00',
      { deep: ['1.50', '01234567-89ab-cdef-0123-456789abcdef'] },
    ]);
    expect(decodeBody(celery(body, { lang: 'js' })).args).to.deep.equal(args);
    const others = [marked('mine', 'a'), marked('date', 1), { ...marked('date', 'a'), more: 1 }];
    expect(decodeBody(celery(JSON.stringify([others, {}, {}]))).args).to.deep.equal(others);
  });

  // wire.md: timelimit
  it('tells a Celery worker the time limits in seconds, the soft one and the hard one', () => {
    const limits = (timeLimit: { soft: number; hard: number | undefined }) =>
      encode(message({ timeLimit }), 'spec').headers['timelimit'];
    expect(limits({ soft: 1_500, hard: undefined })).to.deep.equal([null, 1.5]);
    expect(limits({ soft: 60_000, hard: 61_000 })).to.deep.equal([61, 60]);
    // Shorter ones hit processes between two tasks.
    expect(limits({ soft: 7, hard: undefined })).to.deep.equal([null, 1]);
  });

  it('reads the time limit of a foreign sender, the one that comes first, and never its own', () => {
    for (const [timelimit, limit] of [
      [[null, 30], 30_000],
      [[60, 30.5], 30_500],
      [[60, null], 60_000],
      [[null, null], undefined],
      [[-1, '5'], undefined],
      ['60', undefined],
    ] as const) {
      expect(decodeHead(celery('', { lang: 'py', timelimit })).timeLimit, JSON.stringify(timelimit)).to.equal(limit);
      expect(decodeHead(celery('', { lang: 'js', timelimit })).timeLimit).to.equal(undefined);
    }
  });

  it('reads eta and expires with and without an offset, and retries', () => {
    const moment = Date.UTC(2026, 0, 31, 22, 5, 7, 250);
    for (const eta of ['2026-01-31T22:05:07.250000+00:00', '2026-01-31T22:05:07.25', '2026-01-31T23:35:07.250+01:30']) {
      expect(decodeHead(celery('', { eta, expires: eta })), eta).to.include({ due: moment, expires: moment });
    }
    expect(decodeHead(celery('', { eta: 'tomorrow', expires: 60 }))).to.include({ due: undefined, expires: undefined });
    expect(decodeHead(celery('', { retries: 4 })).attempt).to.equal(5);
    expect(decodeHead(celery('', { due: 7, eta: '2026-01-31T22:05:07Z' })).due).to.equal(7);
  });

  it('reads a compressed body, and says when it cannot', () => {
    const headers = { compression: 'application/x-gzip' };
    const body = deflateSync(`[[1], {}, ${EMBED}]`);
    expect(decodeBody({ ...celery('', headers), body }).args).to.deep.equal([1]);
    expect(unreadable(celery('no zlib', headers)).message).to.contain('decompressed');
    expect(unreadable(celery('[]', { compression: 'application/x-bz2' })).message).to.contain('x-bz2');
  });

  it('takes lock headers of a wrong type for none', () => {
    const good = { lock_key: 'k', lock_mode: 'worker', lock_fence: '12' };
    expect(decodeHead(celery('', good)).lock).to.deep.equal({ key: 'k', mode: 'worker', fence: 12 });
    for (const bad of [{ lock_key: 5 }, { lock_key: '' }, { lock_mode: 'both' }, { lock_mode: null }]) {
      expect(decodeHead(celery('', { ...good, ...bad })).lock, JSON.stringify(bad)).to.equal(undefined);
    }
    for (const fence of ['x', '', -1, '99999999999999999999', null]) {
      expect(decodeHead(celery('', { ...good, lock_fence: fence })).lock?.fence).to.equal(undefined);
    }
  });

  it('tells the id and the lock of a message that it cannot read', () => {
    const headers = { id: ID, lock_key: 'k', lock_mode: 'enqueue', lock_fence: '5' };
    expect(() => decodeHead({ ...celery(''), headers }))
      .to.throw(UnreadableMessageError, "'task'")
      .with.deep.property('data', {
        id: ID,
        task: undefined,
        lock: { key: 'k', mode: 'enqueue', fence: 5 },
      });
  });

  it('says what is wrong with a body', () => {
    const reasons: [string, string][] = [
      ['not json', 'not JSON'],
      ['[[1], {}]', 'three elements'],
      ['{"task": "old", "args": []}', 'three elements'],
      [`[{}, {}, ${EMBED}]`, 'args'],
      [`[[], [], ${EMBED}]`, 'kwargs'],
      ['[[], {}, 5]', 'embed'],
      ['[[], {}, {"chain": [{"task": "next"}]}]', 'chain'],
      ['[[], {}, {"chord": {"task": "all"}, "callbacks": []}]', 'chord'],
    ];
    for (const [body, reason] of reasons) expect(unreadable(celery(body)).message, body).to.contain(reason);
    expect(unreadable({ ...celery(''), body: Buffer.from([0x22, 0xff, 0x22]) }).message).to.contain('UTF-8');
    const pickle = { ...celery('[]'), properties: { contentType: 'application/x-python-serialize' } };
    expect(unreadable(pickle).message).to.contain('x-python-serialize');
    expect(unreadable({ ...celery('[]'), properties: {} }).message).to.contain('missing');
  });
});

describe('the codec, copying', () => {
  const former = {
    ...celery(`[[1], {}, ${EMBED}]`, {
      'x-death': [{}],
      'x-delivery-count': 3,
      CC: ['other'],
      copy: 'c',
      due: 5,
      mine: 'yes',
    }),
    properties: { contentType: 'application/json', expiration: '500', correlationId: ID },
  };

  it('keeps body, properties and headers, and nothing that belonged to one publish or to the broker', () => {
    const copy = republish(former, { attempt: 3, lock: { key: 'k', mode: 'worker', fence: undefined } });
    expect(copy.body).to.equal(former.body);
    expect(copy.properties).to.deep.equal({ contentType: 'application/json', correlationId: ID });
    expect(copy.headers).to.include({
      attempt: 3,
      retries: 2,
      lock_key: 'k',
      lock_mode: 'worker',
      mine: 'yes',
      id: ID,
    });
    expect(copy.headers).to.not.have.any.keys('x-death', 'x-delivery-count', 'CC', 'copy', 'due', 'lock_fence');
  });

  it('writes the reason of a dead letter into flat headers', () => {
    const letter = { code: 'REJECTED', reason: 'no such loan', stack: 'at x', at: 99, queue: 'tasks', attempt: 2 };
    expect(deadLetter(former, letter).headers).to.include({
      dead_code: 'REJECTED',
      dead_reason: 'no such loan',
      dead_stack: 'at x',
      dead_at: 99,
      dead_queue: 'tasks',
      attempt: 2,
    });
  });

  it('stays far below the largest header table, and keeps what a run needs', () => {
    const big = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`h${i}`, 'ü'.repeat(1000)]));
    const frame = {
      ...former,
      headers: { ...big, ...former.headers, lock_key: 'k', lock_mode: 'enqueue', origin: 'o'.repeat(40_000) },
    };
    const huge = 'ü'.repeat(100_000);
    const { headers } = deadLetter(frame, { code: 'C', reason: huge, stack: huge, at: 1, queue: 'q' });
    expect(Buffer.byteLength(JSON.stringify(headers))).to.be.below(56_000);
    expect(headers).to.include({ id: ID, task: 'loans.recompute', lock_key: 'k', lock_mode: 'enqueue' });
  });

  it('makes a dead letter of anything', () => {
    const { headers } = deadLetter(
      { properties: {}, headers: {}, body: Buffer.alloc(0) },
      { code: 'UNREADABLE', reason: 'r', at: 1, queue: 'q' },
    );
    expect(headers).to.deep.equal({ dead_code: 'UNREADABLE', dead_reason: 'r', dead_at: 1, dead_queue: 'q' });
  });
});
