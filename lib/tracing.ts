import type * as OpenTelemetry from '@opentelemetry/api';
import { RetryTask, TaskError, toError } from './errors.js';
import type { Frame, Headers } from './message.js';
import type { RunEvent } from './signals.js';

/** What is said of a span; what is undefined is left out. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean | undefined>>;

/** One message on its way out, or one run, as a trace shows it. */
export interface Span {
  /** By these headers of its message whoever takes it goes on with the trace. */
  readonly headers: Headers;
  /** Calls `body` inside of the span: what it begins is below it. */
  run<T>(body: () => T): T;
  /** `error`: it failed; a body that asks to be run again (`RetryTask`) has not. */
  end(attributes: SpanAttributes, error?: unknown): void;
}

/** A message to be sent. */
export interface TracedCall {
  readonly task: string;
  readonly queue: string;
  readonly id: string;
  readonly key: string | undefined;
}

/** A delivery whose body begins. */
export interface TracedRun {
  readonly frame: Frame;
  readonly rerun: number;
  event(): RunEvent;
}

/** The port to traces. Spans are undefined while nobody records any, and cost next to nothing then. */
export interface Tracing {
  send(call: TracedCall): Span | undefined;
  process(run: TracedRun): Span | undefined;
  /** Calls `body` below the span of another thread; undefined when there is none. */
  within<T>(trace: Headers | undefined, body: () => T): T | undefined;
}

type Api = typeof OpenTelemetry;

/** Traces by OpenTelemetry; undefined when `@opentelemetry/api` is not installed. `address`: the broker's. */
export async function openTracing(address: string): Promise<Tracing | undefined> {
  const api = await import('@opentelemetry/api').catch(notInstalled);
  return api && new OpenTelemetryTracing(api, address);
}

function notInstalled(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
}

/** Names that travel: Python reads headers as attributes, and `x-` belongs to the broker. */
const HEADER = /^[A-Za-z_]\w*$/;

const SETTER: OpenTelemetry.TextMapSetter<Record<string, string>> = {
  set: (headers, name, value) => {
    if (HEADER.test(name)) headers[name] = value;
  },
};

/** Whoever sent the message: what is no text is no context. */
const GETTER: OpenTelemetry.TextMapGetter<Headers> = {
  get: (headers, name) => {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
  },
  keys: (headers) => Object.keys(headers),
};

class OpenTelemetryTracing implements Tracing {
  readonly #api: Api;
  readonly #broker: SpanAttributes;

  constructor(api: Api, address: string) {
    this.#api = api;
    const { protocol, hostname, port } = URL.canParse(address) ? new URL(address) : NOWHERE;
    const system = protocol.startsWith('amqp') ? 'rabbitmq' : protocol.slice(0, -1);
    const usual = protocol === 'amqps:' ? 5671 : 5672;
    const server = hostname === '' ? {} : { 'server.address': hostname, 'server.port': Number(port) || usual };
    this.#broker = { 'messaging.system': system, ...server };
  }

  send({ task, queue, id, key }: TracedCall): Span | undefined {
    const tracer = this.#tracer();
    if (tracer === undefined) return undefined;
    const { context, trace, SpanKind } = this.#api;
    const attributes = this.#attributes('send', { task, queue, id, key });
    const parent = context.active();
    const span = tracer.startSpan(`send ${queue}`, { kind: SpanKind.PRODUCER, attributes }, parent);
    return this.#span(span, trace.setSpan(parent, span));
  }

  /** Child of the span that sent the message, and linked to it: the conventions take the link for what always holds. */
  process(run: TracedRun): Span | undefined {
    const tracer = this.#tracer();
    if (tracer === undefined) return undefined;
    const { ROOT_CONTEXT, trace, propagation, SpanKind } = this.#api;
    const { task, queue, id, key, attempt } = run.event();
    const parent = propagation.extract(ROOT_CONTEXT, run.frame.headers, GETTER);
    const sender = trace.getSpanContext(parent);
    const attributes = {
      ...this.#attributes('process', { task, queue, id, key }),
      'solotask.attempt': attempt,
      'solotask.rerun': run.rerun,
    };
    const links = sender === undefined ? [] : [{ context: sender }];
    const span = tracer.startSpan(`process ${queue}`, { kind: SpanKind.CONSUMER, attributes, links }, parent);
    return this.#span(span, trace.setSpan(parent, span));
  }

  within<T>(trace: Headers | undefined, body: () => T): T | undefined {
    const { context, propagation, ROOT_CONTEXT } = this.#api;
    return trace && context.with(propagation.extract(ROOT_CONTEXT, trace, GETTER), body);
  }

  /** The API hands out a stand-in until an SDK registers its own. */
  #tracer(): OpenTelemetry.Tracer | undefined {
    const provider = this.#api.trace.getTracerProvider();
    if (provider instanceof this.#api.ProxyTracerProvider) return provider.getDelegateTracer('solotask');
    return provider.getTracer('solotask');
  }

  #attributes(operation: 'send' | 'process', { task, queue, id, key }: TracedCall): OpenTelemetry.Attributes {
    return {
      ...this.#broker,
      'messaging.operation.name': operation,
      'messaging.operation.type': operation,
      'messaging.destination.name': queue,
      'messaging.message.id': id,
      'solotask.task': task,
      ...(key === undefined ? undefined : { 'solotask.key': key }),
    } as OpenTelemetry.Attributes;
  }

  #span(span: OpenTelemetry.Span, inside: OpenTelemetry.Context): Span {
    const { context, propagation, SpanStatusCode } = this.#api;
    const headers: Record<string, string> = {};
    propagation.inject(inside, headers, SETTER);
    return {
      headers,
      run: (body) => context.with(inside, body),
      end: (attributes, thrown) => {
        span.setAttributes(attributes as OpenTelemetry.Attributes);
        const error = thrown === undefined || thrown instanceof RetryTask ? undefined : toError(thrown);
        if (error !== undefined) {
          span.setAttribute('error.type', error instanceof TaskError ? error.code : error.name);
          span.recordException(error);
          span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
        }
        span.end();
      },
    };
  }
}

const NOWHERE = { protocol: 'unknown:', hostname: '', port: '' };
