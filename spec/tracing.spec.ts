import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
} from '@opentelemetry/sdk-trace-base';
import { expect } from 'chai';
import { RetryTask, ShouldCompute, Task, taskContext } from 'solotask';
import { encode } from '../lib/celery-protocol.js';
import { openTracing } from '../lib/tracing.js';
import { eventually } from './support/eventually.js';
import { Gate } from './support/gate.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from './support/servers.js';
import { onEveryStage } from './support/stage.js';

/** What an application sets up for itself, and taken away again. */
function record(): InMemorySpanExporter {
  const exporter = new InMemorySpanExporter();
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  return exporter;
}

function forget(): void {
  trace.disable();
  context.disable();
  propagation.disable();
}

const tracer = () => trace.getTracer('spec');
const idOf = (span: ReadableSpan | undefined): string | undefined => span?.spanContext().spanId;

onEveryStage('the traces of an app', (stage) => {
  let exporter: InMemorySpanExporter;
  beforeEach(() => (exporter = record()));
  afterEach(forget);

  /** Those that have ended, of that name, in their order. */
  const ended = (name: string): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.name === name);
  const some = (name: string, count = 1): Promise<ReadableSpan[]> =>
    eventually(() => {
      const spans = ended(name);
      expect(spans, name).to.have.length(count);
      return spans;
    });

  it('lead from the caller through the message to the body, and on to what it enqueues', async () => {
    const seen: (string | undefined)[] = [];
    class Loans {
      @Task({ name: 'recompute', queue: stage.queue, unique: 'loan:<loanId>' })
      async recompute(loanId: number) {
        seen.push(trace.getActiveSpan()?.spanContext().spanId);
        tracer().startSpan('inside').end();
        if (loanId === 1) await app.tasks(Loans).recompute(2);
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    const { id } = await tracer().startActiveSpan('request', async (span) => {
      const receipt = await app.tasks(Loans).recompute(1);
      span.end();
      return receipt;
    });
    const processed = await some(`process ${stage.queue}`, 2);
    const [request] = ended('request');
    const [first, second] = ended(`send ${stage.queue}`);
    expect(first?.parentSpanContext?.spanId).to.equal(idOf(request));
    expect(first?.kind).to.equal(SpanKind.PRODUCER);
    const message = {
      'messaging.destination.name': stage.queue,
      'messaging.message.id': id,
      'solotask.task': 'recompute',
      'solotask.key': 'loan:1',
    };
    expect(first?.attributes).to.include(message).and.include({
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'solotask.receipt.status': 'enqueued',
    });
    const { 'messaging.system': system, 'server.address': host, 'server.port': port } = first?.attributes ?? {};
    if (system === 'rabbitmq') expect(host).to.equal('127.0.0.1');
    expect([system, typeof port]).to.be.deep.oneOf([
      ['rabbitmq', 'number'],
      ['memory', 'undefined'],
    ]);
    const run = processed.find(({ attributes }) => attributes['messaging.message.id'] === id);
    expect(run?.kind).to.equal(SpanKind.CONSUMER);
    expect(run?.parentSpanContext?.spanId).to.equal(idOf(first));
    expect(run?.links.map((link) => link.context.spanId)).to.deep.equal([idOf(first)]);
    expect(run?.attributes).to.include(message).and.include({
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'solotask.attempt': 1,
      'solotask.outcome': 'succeeded',
    });
    expect(seen[0]).to.equal(idOf(run));
    expect(ended('inside')[0]?.parentSpanContext?.spanId).to.equal(idOf(run));
    expect(second?.parentSpanContext?.spanId).to.equal(idOf(run));
    const traces = exporter.getFinishedSpans().map((span) => span.spanContext().traceId);
    expect(new Set(traces).size).to.equal(1);
  });

  it('go on through a retry by way of the delay queues, and say what failed', async () => {
    class Loans {
      @Task({ queue: stage.queue, retry: { attempts: 3, delay: '1s', jitter: false } })
      async recompute() {
        const { attempt } = taskContext();
        if (attempt === 1) throw new TypeError('no rate');
        if (attempt === 2) throw new RetryTask({ delay: 5 });
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    await app.tasks(Loans).recompute();
    const runs = await some(`process ${stage.queue}`, 3);
    const [sent] = ended(`send ${stage.queue}`);
    for (const run of runs) expect(run.parentSpanContext?.spanId).to.equal(idOf(sent));
    const [failed, asked, good] = runs;
    expect(failed?.status).to.deep.equal({ code: SpanStatusCode.ERROR, message: 'no rate' });
    expect(failed?.attributes).to.include({ 'error.type': 'TypeError', 'solotask.outcome': 'retry' });
    expect(failed?.events.map(({ name }) => name)).to.deep.equal(['exception']);
    expect(asked?.status.code).to.equal(SpanStatusCode.UNSET);
    expect(asked?.attributes).to.include({ 'solotask.attempt': 2, 'solotask.outcome': 'retry' });
    expect(good?.attributes).to.include({ 'solotask.attempt': 3, 'solotask.outcome': 'succeeded' });
  });

  it('say of a duplicate who holds its key, and of an enqueue why it failed', async () => {
    class Loans {
      @Task({ queue: stage.queue, unique: 'all' })
      async recompute() {}
    }
    const app = stage.app([Loans], { publishTimeout: 300 });
    const { id } = await app.tasks(Loans).recompute();
    await app.tasks(Loans).recompute();
    const [, dropped] = await some(`send ${stage.queue}`, 2);
    expect(dropped?.attributes).to.include({ 'solotask.receipt.status': 'discarded', 'solotask.holder.id': id });
    expect(dropped?.status.code).to.equal(SpanStatusCode.UNSET);
    await app.send('x', { queue: uniqueName('nowhere') }).catch(() => {});
    const failed = exporter.getFinishedSpans().at(-1);
    expect(failed?.name).to.match(/^send nowhere/);
    expect(failed?.status.code).to.equal(SpanStatusCode.ERROR);
    expect(failed?.attributes['error.type']).to.match(/^[A-Z_]+$/);
  });

  it('end with the worker that drops a duplicate', async () => {
    const gate = new Gate();
    class Loans {
      @Task({ queue: stage.queue })
      @ShouldCompute('all')
      async recompute() {
        await gate.pass();
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    const { id } = await app.tasks(Loans).recompute();
    await eventually(() => expect(gate.arrivals).to.equal(1));
    await app.tasks(Loans).recompute();
    const [dropped] = await some(`process ${stage.queue}`);
    expect(dropped?.attributes).to.include({ 'solotask.outcome': 'discarded', 'solotask.holder.id': id });
    expect(dropped?.parentSpanContext?.spanId).to.equal(idOf(ended(`send ${stage.queue}`)[1]));
    gate.open();
    await some(`process ${stage.queue}`, 2);
  });

  it('carry the context in plain headers, as Celery does, and leave one alone that the caller brings', async () => {
    class Loans {
      @Task({ queue: stage.queue })
      async recompute() {}
    }
    const app = stage.app([Loans]);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await app.send('loans.tasks.recompute', { queue: stage.queue });
    await app.send('loans.tasks.recompute', { queue: stage.queue, headers: { traceparent } });
    const [own, brought] = await stage.messages();
    const { traceId, spanId } = ended(`send ${stage.queue}`)[0]!.spanContext();
    expect(own?.headers['traceparent']).to.equal(`00-${traceId}-${spanId}-01`);
    expect(brought?.headers).to.include({ traceparent });
    expect(brought?.headers).to.not.have.property('tracestate');
  });

  it('take up the context of a foreign producer, and none that cannot be read', async () => {
    class Loans {
      @Task({ name: 'recompute', queue: stage.queue })
      async recompute(loanId: number) {
        return loanId;
      }
    }
    const app = stage.app([Loans]);
    await app.worker().start();
    const send = (headers: Record<string, unknown>) => {
      const frame = encode(
        {
          id: uniqueName('id'),
          task: 'recompute',
          args: [1],
          kwargs: {},
          attempt: 1,
          lock: undefined,
          enqueuedAt: Date.now(),
          priority: undefined,
          rootId: undefined,
          parentId: undefined,
          headers: {},
        },
        'spec',
      );
      return stage.publish({ ...frame, headers: { ...frame.headers, ...headers } });
    };
    await send({ traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' });
    await send({ traceparent: 7 });
    await send({ traceparent: 'nonsense' });
    const runs = await some(`process ${stage.queue}`, 3);
    expect(runs.map(({ parentSpanContext }) => parentSpanContext?.spanId)).to.have.members([
      'b7ad6b7169203331',
      undefined,
      undefined,
    ]);
    expect(runs.map(({ links }) => links.length)).to.have.members([1, 0, 0]);
  });

  it('are left alone while no SDK is registered', async () => {
    forget();
    class Loans {
      @Task({ queue: stage.queue })
      async recompute() {}
    }
    const app = stage.app([Loans]);
    await app.tasks(Loans).recompute();
    const [message] = await stage.messages();
    expect(message?.headers).to.not.have.property('traceparent');
    expect(exporter.getFinishedSpans()).to.deep.equal([]);
  });
});

describe('the traces of a task with thread: true', () => {
  afterEach(forget);

  it('go on in its thread, and through what it enqueues there', async () => {
    const exporter = record();
    const queue = uniqueName('queue');
    const links = { broker: testAmqpUrl(), locks: testRedisUrl(), namespace: uniqueName('traced') };
    process.env['TRACED'] = JSON.stringify({ ...links, queue });
    const module = new URL('./fixtures/traced.js', import.meta.url);
    const { default: made, Traced } = (await import(module.href)) as typeof import('./fixtures/traced.js');
    await using app = made;
    await app.worker({ threads: { module } }).start();
    const receipt = await app.tasks(Traced).compute();
    const seen = (await receipt.result({ timeout: '20s' })) as { isMainThread: boolean; span: string };
    const runs = await eventually(
      () => {
        const spans = exporter.getFinishedSpans().filter(({ name }) => name === `process ${queue}`);
        expect(spans.map(({ attributes }) => attributes['solotask.task'])).to.have.members([
          'Traced.compute',
          'Traced.after',
        ]);
        return spans;
      },
      { timeout: 20_000 },
    );
    const [heavy, after] = ['Traced.compute', 'Traced.after'].map((task) =>
      runs.find(({ attributes }) => attributes['solotask.task'] === task),
    );
    expect(seen).to.deep.equal({ isMainThread: false, span: idOf(heavy) });
    expect(after?.spanContext().traceId).to.equal(heavy?.spanContext().traceId);
    // Between them is the span of the thread's own SDK.
    expect(after?.parentSpanContext?.spanId).to.be.a('string').and.not.equal(idOf(heavy));
  });
});

describe('the headers of a message, to a propagator of somebody else', () => {
  afterEach(forget);

  it('are texts alone, whoever sent them, and take names that Celery can read', async () => {
    record();
    propagation.disable();
    const read: (string | string[] | undefined)[] = [];
    propagation.setGlobalPropagator({
      inject: (_, carrier, setter) => ['b3', 'x-b3-traceid'].forEach((name) => setter.set(carrier, name, 'one')),
      extract: (inside, carrier, getter) => {
        for (const name of getter.keys(carrier)) read.push(getter.get(carrier, name));
        return inside;
      },
      fields: () => [],
    });
    const tracing = await openTracing('amqps://user:secret@broker.example/');
    const call = { task: 'recompute', queue: 'tasks', id: '1', key: undefined };
    expect(tracing?.send(call)?.headers).to.deep.equal({ b3: 'one' });
    const frame = { properties: {}, headers: { b3: 7, tracestate: 'two' }, body: Buffer.alloc(0) };
    tracing?.process({ frame, rerun: 0, event: () => ({ ...call, attempt: 1 }) });
    expect(read).to.deep.equal([undefined, 'two']);
  });
});
