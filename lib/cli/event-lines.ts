import type { App } from '../app/app.js';
import type { EventName, LogLevel, TaskEvents } from '../signals.js';
import type { Log } from './log.js';

/** How loud an event is, and what a person reads. */
type Line = readonly [LogLevel, string];

const because = (error: Error | undefined): string => (error === undefined ? '' : `: ${error.message}`);

/** Every event of the library as a line of the log: the compiler misses one that is left out. */
const LINES: { readonly [E in EventName]: (event: Readonly<TaskEvents[E]>) => Line } = {
  'task:enqueued': ({ task, unguarded }) =>
    unguarded ? ['warn', `${task} enqueued without its lock`] : ['info', `${task} enqueued`],
  'task:discarded': ({ task, side, reason, holder }) => {
    const other = reason === 'done' ? 'covered by the finished' : `${reason} already as`;
    return ['info', `${task} discarded (${side}): ${other} ${holder.id}`];
  },
  'task:coalesced': ({ task, side, holder }) => [
    'info',
    `${task} coalesced (${side}): ${holder.id}, ${holder.phase}, runs for it`,
  ],
  'task:started': ({ task }) => ['info', `${task} started`],
  'task:progress': ({ task, done, total }) => ['debug', `${task} ${done}/${total}`],
  'task:log': ({ level, message }) => [level, message],
  'task:succeeded': ({ task, seconds, recovered }) =>
    recovered ? ['info', `${task} had succeeded before`] : ['info', `${task} succeeded in ${seconds.toFixed(3)} s`],
  'task:failed': ({ task, error }) => ['warn', `${task} failed${because(error)}`],
  'task:retried': ({ task, delay }) => ['info', `${task} runs again in ${(delay / 1000).toFixed(1)} s`],
  'task:dead': ({ task, code }) => ['error', `${task} went to the dead letters (${code})`],
  'task:expired': ({ task }) => ['warn', `${task} was dropped: it had expired before it could run`],
  'enqueue:failed': ({ task, error }) => ['error', `${task}: not enqueued after the commit: ${error.message}`],
  'publish:failed': ({ task, to, error }) => ['error', `${task}: cannot be published to ${to}: ${error.message}`],
  'task:overdue': ({ task }) => ['error', `${task} ignores its abort signal: the next run waits until its lease ends`],
  'result:lost': ({ task, error }) => ['error', `${task}: its result could not be kept: ${error.message}`],
  'lock:lost': ({ task, error }) => ['warn', `${task} lost its lock${because(error)}`],
  'lock:waiting': ({ task, left }) => [
    'info',
    `${task} waits for its key: the present lease ends in ${(left / 1000).toFixed(1)} s`,
  ],
  'thread:crashed': ({ error }) => ['error', `a thread died between two tasks${because(error)}`],
  'loop:blocked': ({ seconds, tasks }) => [
    'warn',
    `the event loop stood still for ${seconds.toFixed(1)} s, and no heartbeat went out: ${tasks.join(', ') || 'no task'} ` +
      `was under way; give a task that computes thread: true`,
  ],
  'broker:connected': ({ link, address }) => ['info', `RabbitMQ at ${address} connected (${link})`],
  'broker:disconnected': ({ link, error }) => ['warn', `RabbitMQ disconnected (${link})${because(error)}`],
  'broker:blocked': ({ blocked, reason }) =>
    blocked
      ? ['warn', `RabbitMQ takes no messages: ${reason ?? 'no reason given'}`]
      : ['info', 'RabbitMQ takes messages again'],
  'redis:unavailable': ({ error }) =>
    error === undefined ? ['info', 'Redis is back'] : ['error', `Redis is not available${because(error)}`],
  'redis:warning': ({ message }) => ['warn', message],
  'worker:ready': ({ queues, concurrency }) => ['info', `ready: ${queues.join(', ')} (${concurrency} at once)`],
  'worker:quiet': ({ running }) => ['info', `takes no more work; ${running} running`],
  'worker:stopped': ({ aborted }) => (aborted === 0 ? ['info', 'stopped'] : ['warn', `stopped; ${aborted} aborted`]),
  'listener:failed': ({ event, error }) => ['error', `a listener of ${event} failed${because(error)}`],
};

/** Writes each event of the app to the log: one line, with the event's name and fields. */
export function logEvents(app: App, log: Log): void {
  for (const event of Object.keys(LINES) as EventName[]) logEvent(app, log, event);
}

function logEvent<E extends EventName>(app: App, log: Log, event: E): void {
  app.on(event, (payload) => {
    const [level, text] = LINES[event](payload);
    log[level]({ event, ...payload } as object, text);
  });
}
