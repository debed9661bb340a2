import { expect } from 'chai';
import { createApp, Task, taskContext, type App, type Clock, type Frame } from 'solotask';
import { pause } from '../../lib/clock.js';
import { createMemoryGuard, MemoryLocks } from '../../lib/guards/memory.js';
import { createMemoryTransport, MemoryBroker } from '../../lib/transports/memory.js';
import { Random } from '../simulation/random.js';
import { World } from '../simulation/world.js';

const MINUTE = 60_000;

describe('a run of which nobody said that it is long', () => {
  /** A worker, in time that passes at once. */
  function stage(service: abstract new () => object, make: () => object) {
    const world = new World(new Random(1));
    const { clock } = world.process('worker');
    const broker = new MemoryBroker(clock);
    const store = new MemoryLocks();
    const transport = createMemoryTransport({ clock, broker });
    const published: { queue: string; frame: Frame }[] = [];
    const publish = transport.publish.bind(transport);
    transport.publish = (outgoing) => {
      published.push(outgoing);
      return publish(outgoing);
    };
    const locks = createMemoryGuard({ clock, store });
    const app = createApp({ broker: transport, locks, services: [service], container: { get: make } }, clock);
    return { world, clock, app, published, transport };
  }

  const play = async (what: { app: App; world: World }, enqueue: () => Promise<unknown>): Promise<string[]> => {
    const ends: string[] = [];
    for (const event of ['task:succeeded', 'task:dead', 'task:failed'] as const) {
      what.app.on(event, () => ends.push(event));
    }
    await what.app.worker().start();
    what.world.after(1, () => void enqueue());
    expect(await what.world.run(3 * 60 * MINUTE)).to.equal(true);
    return ends;
  };

  for (const [what, unique] of [
    ['with a key', { unique: 'loan:<loanId>' }],
    ['without one', {}],
  ] as const) {
    it(`is handed over in time, ${what}, and runs once`, async () => {
      const began: number[] = [];
      class Loans {
        declare readonly clock: Clock;
        @Task({ ...unique })
        async recompute(loanId: number) {
          began.push(loanId);
          await pause(this.clock, 45 * MINUTE, taskContext().signal);
          expect(taskContext().signal.aborted).to.equal(false);
        }
      }
      const set = stage(Loans, () => Object.assign(new Loans(), { clock: set.clock }));
      const ends = await play(set, () => set.app.tasks(Loans).recompute(1));
      expect(ends).to.deep.equal(['task:succeeded']);
      expect(began).to.deep.equal([1]);
      // The call; from the tenth minute on a stand-in once a minute, until it is told that the run has ended.
      expect(set.published.length).to.be.within(33, 37);
      const [call, first] = set.published;
      expect(call?.frame.headers).not.to.have.property('stand_in');
      expect(first?.frame.headers['stand_in']).to.be.a('string');
      expect((await set.transport.figures('tasks')).ready).to.equal(0);
    });
  }

  it('of less than ten minutes costs nothing', async () => {
    class Loans {
      declare readonly clock: Clock;
      @Task()
      async recompute(_loanId: number) {
        await pause(this.clock, 9 * MINUTE);
      }
    }
    const set = stage(Loans, () => Object.assign(new Loans(), { clock: set.clock }));
    expect(await play(set, () => set.app.tasks(Loans).recompute(1))).to.deep.equal(['task:succeeded']);
    expect(set.published).to.have.length(1);
  });

  it('fails and is retried like the others', async () => {
    const attempts: number[] = [];
    class Loans {
      declare readonly clock: Clock;
      @Task({ retry: 2 })
      async recompute(_loanId: number) {
        attempts.push(taskContext().attempt);
        await pause(this.clock, 20 * MINUTE);
        throw new Error('no luck');
      }
    }
    const set = stage(Loans, () => Object.assign(new Loans(), { clock: set.clock }));
    const ends = await play(set, () => set.app.tasks(Loans).recompute(1));
    expect(ends).to.deep.equal(['task:failed', 'task:failed', 'task:dead']);
    expect(attempts).to.deep.equal([1, 2]);
  });
});
