import type { Channel, Options } from 'amqplib';
import { deadQueue, type QueueDeclaration } from '../transport.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The waits that a broker holds messages for, ms, ascending. Longer delays take several hops. */
export const RUNGS: readonly number[] = [
  ...[1, 2, 5, 10, 15, 30].map((seconds) => seconds * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE),
  ...[1, 2, 4, 8, 12, 24].map((hours) => hours * HOUR),
];

/** The largest rung that does not overshoot `remaining` ms; undefined below the smallest. */
export const rungFor = (remaining: number): number | undefined => RUNGS.findLast((rung) => rung <= remaining);

/** The exchange and the queue of a rung. */
export const rungName = (namespace: string, rung: number): string => `${namespace}.v1.delay.${rung}`;

/** Where the rungs put what they have held long enough. */
export const dueName = (namespace: string): string => `${namespace}.v1.due`;

/**
 * A quorum queue that gives what it drops to `deadLetters`. At least once: at the default strategy messages that fell
 * due while the broker was down were lost. The limit: RabbitMQ 4 drops after 20 deliveries by default.
 */
const quorum = (deadLetters?: string, ttl?: number): Options.AssertQueue => ({
  durable: true,
  arguments: {
    'x-queue-type': 'quorum',
    'x-delivery-limit': 1_000_000,
    ...(deadLetters === undefined
      ? undefined
      : {
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': deadLetters,
          'x-dead-letter-strategy': 'at-least-once',
          'x-overflow': 'reject-publish',
        }),
    ...(ttl === undefined ? undefined : { 'x-message-ttl': ttl }),
  },
});

/** Its dead letters are classic too: from a classic into a quorum queue they can be lost. */
const classic = (deadLetters?: string, maxPriority?: number): Options.AssertQueue => ({
  durable: true,
  arguments: {
    'x-queue-type': 'classic',
    ...(deadLetters === undefined
      ? undefined
      : { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': deadLetters }),
    ...(maxPriority === undefined ? undefined : { 'x-max-priority': maxPriority }),
  },
});

/**
 * Declares the delay rungs and the due queue. The requests are sent in one go, the answers waited for together. Names
 * and arguments are fixed for good: a change is a 406 for everybody who has them.
 */
export async function declareDelays(channel: Channel, namespace: string): Promise<void> {
  const due = dueName(namespace);
  await Promise.all([
    channel.assertQueue(deadQueue(due), quorum()),
    channel.assertQueue(due, quorum(deadQueue(due))),
    ...RUNGS.flatMap((rung) => {
      const name = rungName(namespace, rung);
      return [
        channel.assertExchange(name, 'fanout', { durable: true }),
        channel.assertQueue(name, quorum(due, rung)),
        channel.bindQueue(name, name, ''),
      ];
    }),
  ]);
}

/** Declares a work queue and the queue of its dead letters; a passive one is only looked up, and used as it is. */
export async function declareWorkQueue(channel: Channel, queue: QueueDeclaration): Promise<void> {
  const dead = deadQueue(queue.name);
  if (queue.passive === true) {
    await channel.checkQueue(queue.name);
    if (queue.deadLetters === true) await channel.assertQueue(dead, classic());
    return;
  }
  const isClassic = queue.type === 'classic';
  await channel.assertQueue(dead, isClassic ? classic() : quorum());
  await channel.assertQueue(queue.name, isClassic ? classic(dead, queue.maxPriority) : quorum(dead));
}
