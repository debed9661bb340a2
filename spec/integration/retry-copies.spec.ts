import { expect } from 'chai';
import { createApp, type Frame, RetryTask, Task, taskContext, type Transport } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { type DeliveryHandler, deadQueue } from '../../lib/transport.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

/** The same transport, and what it delivers from a queue. */
function recorded(transport: Transport, queue: string, frames: Frame[]): Transport {
  const recorder = (handler: DeliveryHandler): DeliveryHandler => ({
    deliver: (delivery) => {
      frames.push(delivery.frame);
      handler.deliver(delivery);
    },
    lost: () => handler.lost(),
  });
  const get = (_: object, name: string): unknown => {
    const method: unknown = Reflect.get(transport, name);
    if (typeof method !== 'function') return method;
    return (...args: [string, number, DeliveryHandler]): unknown => {
      const given = name === 'consume' && args[0] === queue ? [args[0], args[1], recorder(args[2])] : args;
      return Reflect.apply(method, transport, given);
    };
  };
  return new Proxy(transport, { get: get as never });
}

for (const type of ['quorum', 'classic'] as const) {
  describe(`the copies of a failing task, on a ${type} queue`, () => {
    it('keep id, key, priority, expiry and headers, count the attempts, and end in the dead letters', async () => {
      const [queue, namespace] = [uniqueName('queue'), uniqueName('ns')];
      class Loans {
        @Task({ queue, unique: 'loan:<loanId>', retry: { attempts: 3, delay: 50 } })
        async recompute(loanId: number) {
          // Once by a wait in the worker, once by the delay queues.
          if (taskContext().attempt === 2) throw new RetryTask({ delay: '1200ms' });
          throw new Error(`loan ${loanId} is out of luck`);
        }
      }
      const frames: Frame[] = [];
      const settings = { url: testAmqpUrl(), namespace, clock: systemClock, connectionName: 'spec' };
      const transport = createRabbitTransport(settings);
      const queues = { [queue]: type === 'classic' ? { type, maxPriority: 5 } : { type } };
      const broker = recorded(transport, queue, frames);
      await using app = createApp({ broker, locks: testRedisUrl(), namespace, queues, services: [Loans] });
      await app.worker({ concurrency: 2 }).start();
      const options = { priority: 4, expires: '1h', headers: { tenant: 'Zürich' }, id: uniqueName('id') } as const;
      await app.tasks(Loans, options).recompute(7);
      await eventually(async () => expect((await transport.figures(deadQueue(queue))).ready).to.equal(1));

      expect(frames.map(({ headers }) => [headers['attempt'], headers['retries']])).to.deep.equal([
        [1, 0],
        [2, 1],
        [3, 2],
      ]);
      const [first, ...copies] = frames.map(lasting);
      expect(first).to.deep.include({ id: options.id, key: 'loan:7', priority: 4, tenant: 'Zürich' });
      expect(Date.parse(String(first?.expires))).to.be.within(Date.now() + 3_590_000, Date.now() + 3_600_000);
      for (const copy of copies) expect(copy).to.deep.equal(first);
      expect(new Set(frames.map(({ headers }) => headers['copy'])).size).to.equal(3);
      const inherited = frames.flatMap(({ headers }) => Object.keys(headers).filter((name) => name.startsWith('x-')));
      expect(inherited.filter((name) => name !== 'x-delivery-count')).to.deep.equal([]);

      const pull = await transport.pull(deadQueue(queue));
      const dead = (await pull.next())?.frame as Frame;
      expect(lasting(dead)).to.deep.equal(first);
      expect(dead.headers).to.include({ attempt: 3, dead_code: 'FAILED', dead_queue: queue });
      await pull.close();
    });
  });
}

/** What no copy may change. */
const lasting = ({ properties, headers, body }: Frame) => ({
  ids: [properties.messageId, properties.correlationId],
  timestamp: properties.timestamp,
  priority: properties.priority,
  id: headers['id'],
  key: headers['lock_key'],
  fence: headers['lock_fence'],
  expires: headers['expires'],
  enqueued: headers['enqueued_at'],
  tenant: headers['tenant'],
  body: body.toString(),
});
