import { expect } from 'chai';
import { createApp, Task, type Relaying, type Transport } from 'solotask';
import { systemClock } from '../../lib/clock.js';
import { BrokerUnavailableError } from '../../lib/errors.js';
import { createMemoryGuard } from '../../lib/guards/memory.js';
import { createMemoryTransport } from '../../lib/transports/memory.js';

const clock = systemClock;

class Loans {
  @Task()
  async recompute(loanId: number) {
    return loanId;
  }
}

/** A worker on a transport, some of whose methods are others. */
async function started(changes: (inner: Transport) => Partial<Transport>) {
  const inner = createMemoryTransport({ clock });
  const other = changes(inner);
  const get = (_: object, name: keyof Transport): unknown => {
    const method: unknown = Reflect.get(inner, name);
    return other[name] ?? (typeof method === 'function' ? (method.bind(inner) as unknown) : method);
  };
  const broker = new Proxy(inner, { get: get as never });
  const app = createApp({ broker, locks: createMemoryGuard({ clock }), services: [Loans] });
  const worker = app.worker();
  await worker.start();
  return { app, worker };
}

describe('a worker that is drained', () => {
  it('waits for what is due and on its way to its queues', async () => {
    let looks = 0;
    const { app, worker } = await started((inner) => ({
      relay: async (): Promise<Relaying> => {
        const relay = await inner.relay();
        return { cancel: () => relay.cancel(), busy: async () => ++looks <= 2 };
      },
    }));
    await worker.drained();
    expect(looks).to.equal(4);
    await app.close();
  });

  it('waits while the broker does not say what is ready', async () => {
    let looks = 0;
    const { app, worker } = await started((inner) => ({
      figures: async (queue) => {
        if (++looks <= 2) throw new BrokerUnavailableError('away');
        return inner.figures(queue);
      },
    }));
    await worker.drained();
    expect(looks).to.equal(4);
    await app.close();
  });

  it('is told of what never passes, but for a stop', async () => {
    const broken = async (): Promise<never> => {
      throw new TypeError('a broken transport');
    };
    const { app, worker } = await started(() => ({ figures: broken }));
    const thrown: unknown = await worker.drained().catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(TypeError);
    const drained = worker.drained();
    await worker.quiet();
    await drained;
    await app.close();
  });
});
