import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import { BrokerUnavailableError } from '../../lib/errors.js';
import type { Delivery } from '../../lib/transport.js';
import { createMemoryTransport } from '../../lib/transports/memory.js';
import { deferred } from '../../lib/transports/promises.js';
import { Relay } from '../../lib/transports/rabbitmq-relay.js';
import { eventually } from '../support/eventually.js';
import { frameOf, Inbox } from '../support/transports.js';

describe('a relay that is closed', () => {
  const queue = 'due';

  async function delivered(): Promise<Delivery> {
    const transport = createMemoryTransport({ clock: systemClock });
    await transport.connect(1000);
    await transport.declare([{ name: queue }]);
    await transport.publish({ queue, frame: frameOf(), timeout: 1000 });
    const inbox = new Inbox();
    await transport.consume(queue, 1, inbox);
    return eventually(() => inbox.at(0));
  }

  it('gives back at once what fails meanwhile, and sets no timer for it', async () => {
    const timers: number[] = [];
    const clock: typeof systemClock = {
      ...systemClock,
      after: (ms, ...rest) => (timers.push(ms), systemClock.after(ms, ...rest)),
    };
    const outcome = deferred<void>();
    const relay = new Relay({ clock, queue, publish: () => outcome.promise, expired() {} });
    const delivery = await delivered();
    relay.deliver(delivery);
    const closed = relay.close();
    timers.length = 0;
    outcome.reject(new BrokerUnavailableError('gone'));
    await closed;
    expect([delivery.stale, timers]).to.deep.equal([true, []]);
  });
});
