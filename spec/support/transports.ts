import { randomUUID } from 'node:crypto';
import { encode } from '../../lib/celery-protocol.js';
import { systemClock } from '../../lib/clock.js';
import type { Frame, TaskMessage } from '../../lib/message.js';
import type { Delivery, DeliveryHandler, Transport } from '../../lib/transport.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';

/** The address of a real RabbitMQ; the specs fail without one rather than passing untested. */
export function amqpUrl(): string {
  const url = process.env['SOLOTASK_TEST_AMQP_URL'];
  if (url === undefined || url === '') {
    throw new Error('set SOLOTASK_TEST_AMQP_URL to a RabbitMQ that the specs may use (npm test starts one)');
  }
  return url;
}

/** A name that no other test uses. */
export const fresh = (prefix: string): string => `${prefix}-${randomUUID().slice(0, 8)}`;

/** A transport over RabbitMQ; `url` when it goes through a proxy. */
export const rabbit = (namespace: string, url = amqpUrl()): Transport =>
  createRabbitTransport({ url, namespace, clock: systemClock, connectionName: 'spec' });

/** A task message as bytes. */
export const frameOf = (changes: Partial<TaskMessage> = {}): Frame =>
  encode(
    {
      id: randomUUID(),
      task: 'spec.task',
      attempt: 1,
      lock: undefined,
      enqueuedAt: Date.now(),
      priority: undefined,
      rootId: undefined,
      parentId: undefined,
      headers: {},
      args: [],
      kwargs: {},
      ...changes,
    },
    'spec',
  );

/** A consumer that keeps what it is given. */
export class Inbox implements DeliveryHandler {
  readonly deliveries: Delivery[] = [];
  readonly times: number[] = [];
  losses = 0;
  readonly #ack: boolean;

  /** `ack`: acknowledge each delivery at once. */
  constructor({ ack = false }: { ack?: boolean } = {}) {
    this.#ack = ack;
  }

  deliver(delivery: Delivery): void {
    this.deliveries.push(delivery);
    this.times.push(Date.now());
    if (this.#ack) delivery.ack();
  }

  lost(): void {
    this.losses += 1;
  }

  /** The arguments of everything that came, in order. */
  get args(): unknown[] {
    return this.deliveries.map(({ frame }) => (JSON.parse(frame.body.toString()) as [unknown])[0]);
  }

  /** The delivery at this place; fails when there is none yet. */
  at(index: number): Delivery {
    const delivery = this.deliveries.at(index);
    if (delivery === undefined) throw new Error(`there is no delivery ${index} among ${this.deliveries.length}`);
    return delivery;
  }
}

/** The error that a promise is rejected with; fails when it is not. */
export async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a rejection');
}
