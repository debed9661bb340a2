import amqplib from 'amqplib';
import { expect } from 'chai';
import { createApp, Task, type App } from 'solotask';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';

const DELAY = 7_000;
const BACKLOG = 40;

describe('a delay of seconds on a queue with a long backlog', () => {
  const namespace = uniqueName('ns');
  const apps: App[] = [];
  afterEach(() => Promise.all(apps.splice(0).map((app) => app.close())));

  // D9
  it('passes outside of the queue: no consumer gets the message before it is due, and it waits for the backlog once', async () => {
    const [queue, foreign, elsewhere] = ['queue', 'foreign', 'elsewhere'].map(uniqueName) as [string, string, string];
    const ran: string[] = [];
    class Loans {
      @Task({ queue })
      async recompute(name: string) {
        ran.push(name);
      }

      @Task({ queue: foreign })
      async celery(name: string) {
        return name;
      }

      @Task({ queue: elsewhere })
      async other() {
        return undefined;
      }
    }
    const start = (): App => {
      const links = { broker: testAmqpUrl(), locks: testRedisUrl() };
      const app = createApp({ ...links, namespace, services: [Loans] });
      apps.push(app);
      return app;
    };
    const app = start();
    // Every worker relays what falls due, whatever it consumes.
    await start()
      .worker({ queues: [elsewhere] })
      .start();
    const names = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`);
    const both = async (name: string): Promise<void> => {
      await Promise.all([app.tasks(Loans).recompute(name), app.tasks(Loans).celery(name)]);
    };
    for (const name of names(0, BACKLOG / 2)) await both(name);
    const asked = Date.now();
    await Promise.all([
      app.tasks(Loans, { delay: DELAY }).recompute('delayed'),
      app.tasks(Loans, { delay: DELAY }).celery('delayed'),
    ]);
    for (const name of names(BACKLOG / 2, BACKLOG)) await both(name);

    const connection = await amqplib.connect(testAmqpUrl());
    const channel = await connection.createChannel();
    const got: { name: unknown; at: number }[] = [];
    const arrived = (message: amqplib.ConsumeMessage | null): void => {
      const [[name]] = JSON.parse(message?.content.toString() ?? '') as [[unknown]];
      got.push({ name, at: Date.now() });
    };
    await channel.consume(foreign, arrived);
    await eventually(() => expect(got).to.have.length(BACKLOG));
    expect(Date.now() - asked, 'the backlog was late').to.be.below(DELAY);
    await eventually(() => expect(got).to.have.length(BACKLOG + 1), { timeout: DELAY + 5_000 });
    expect(got.at(-1)).to.have.property('name', 'delayed');
    expect(got.at(-1)?.at).to.be.at.least(asked + DELAY);
    const ready = async (): Promise<number> => (await channel.checkQueue(queue)).messageCount;
    await eventually(async () => expect(await ready()).to.equal(BACKLOG + 1));
    await connection.close();

    // It has its place behind what was there when it fell due; it does not go to the end once more.
    for (const name of names(BACKLOG, 2 * BACKLOG)) await app.tasks(Loans).recompute(name);
    await app.worker({ queues: [queue], concurrency: 1 }).start();
    await eventually(() => expect(ran).to.have.length(2 * BACKLOG + 1));
    expect(ran).to.deep.equal([...names(0, BACKLOG), 'delayed', ...names(BACKLOG, 2 * BACKLOG)]);
  }).timeout(40_000);
});
