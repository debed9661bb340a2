import { inspect } from 'node:util';
import { decodeBody } from '../../celery-protocol.js';
import type { MessageBody } from '../../message.js';
import { ackedEarly, type Run } from '../run.js';

/** Characters that are shown of a value, and of a stack. */
const SHORT = 1_024;
const STACK = 10_000;

/** A value for people. What it costs is bounded, whatever the value. */
export function shown(value: unknown): string {
  try {
    const options = { depth: 3, maxArrayLength: 20, maxStringLength: 200, breakLength: Infinity };
    return inspect(value, options).slice(0, SHORT);
  } catch {
    return '…';
  }
}

/** ISO 8601 as Python before 3.11 reads it too. */
const iso = (time: number | undefined): string | null =>
  time === undefined ? null : new Date(time).toISOString().replace('Z', '+00:00');

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

/** Arguments for people: as their sender wrote them, else as we do. */
const reprs = ({ frame, args }: Run): { args: string; kwargs: string } => ({
  args: text(frame.headers['argsrepr']) ?? shown(args),
  kwargs: text(frame.headers['kwargsrepr']) ?? '{}',
});

/** Of `task-received`. */
export const receivedFields = (run: Run): object => ({
  uuid: run.head.id,
  name: run.head.task,
  ...reprs(run),
  root_id: run.head.rootId ?? null,
  parent_id: run.head.parentId ?? null,
  retries: run.head.attempt - 1,
  eta: text(run.frame.headers['eta']) ?? iso(run.head.due),
  expires: iso(run.head.expires),
});

/** Of `task-failed` and `task-retried`: `exception` looks as in Python. */
export const errorFields = (error: Error): object => ({
  exception: `${error.name}(${inspect(error.message)})`.slice(0, SHORT),
  traceback: (error.stack ?? '').slice(0, STACK),
});

/** A run as `inspect active` shows it; `now` is epoch ms, undefined for one whose body was not begun. */
export function runFields(run: Run, node: string, safe: boolean, started: number | undefined): object {
  const { head, delivery } = run;
  return {
    id: head.id,
    name: head.task,
    ...(safe ? reprs(run) : values(run)),
    type: head.task,
    hostname: node,
    time_start: started === undefined ? null : started / 1000,
    acknowledged: run.standIn !== undefined || ackedEarly(run),
    delivery_info: {
      exchange: '',
      routing_key: delivery.queue,
      priority: delivery.frame.properties.priority ?? 0,
      redelivered: delivery.redelivered,
    },
    worker_pid: started === undefined ? null : process.pid,
  };
}

function values(run: Run): MessageBody | { args: string; kwargs: string } {
  try {
    const { args, kwargs } = decodeBody(run.frame);
    return { args, kwargs };
  } catch {
    return reprs(run);
  }
}
