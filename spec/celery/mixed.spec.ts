import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { fileURLToPath } from 'node:url';
import { CeleryPeer, CeleryWorker } from '../support/celery.js';
import { Child } from '../support/child.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, testRedisUrl, uniqueName } from '../support/servers.js';
import { mixedApp, WRITE } from './fixtures/mixed.js';
import { NAMESPACE } from './unique-stage.js';

const EVENTS = 5_000;
const ACCOUNTS = 100;

/** One line of the list that everybody writes to; its order is Redis's. */
interface Step {
  readonly event: 'called' | 'returned' | 'begin' | 'end' | 'killed';
  readonly by: string;
  readonly account: number;
  readonly version: number;
  readonly seen: number;
  readonly fence: number;
}

const queue = uniqueName('queue');
const place = { broker: testAmqpUrl, redis: testRedisUrl };
const WORKER = fileURLToPath(new URL('./fixtures/mixed-worker.js', import.meta.url));

const steps = async (book: Redis): Promise<Step[]> =>
  (await book.lrange(`mixed:${queue}:steps`, 0, -1)).map((line) => JSON.parse(line) as Step);

const pythonOptions = (by: string) => ({
  queue,
  module: 'mixed_tasks',
  env: { SPEC_NAMESPACE: NAMESPACE, SPEC_MODULE: 'mixed_tasks', SPEC_WRITE: WRITE, SPEC_BY: by },
});

async function nodeWorker(by: string): Promise<Child> {
  const own = { broker: place.broker(), redis: place.redis(), queue, namespace: NAMESPACE, by };
  const worker = new Child(WORKER, { SPEC_PLACE: JSON.stringify(own) });
  await worker.hears('ready', 1, 20_000);
  return worker;
}

async function pythonWorker(by: string): Promise<CeleryWorker> {
  const worker = new CeleryWorker({ ...pythonOptions(by), args: ['-P', 'prefork', '-c', '3'] });
  await worker.ready();
  return worker;
}

/** The bodies of one account that were in two processes, or twice in one, at once; a killed one ends with its process. */
function overlaps(all: readonly Step[]): string[] {
  const open = new Map<number, Step>();
  const found: string[] = [];
  for (const step of all) {
    const other = open.get(step.account);
    if (step.event === 'begin' && other !== undefined) found.push(`${JSON.stringify(other)} ${JSON.stringify(step)}`);
    if (step.event === 'begin') open.set(step.account, step);
    if (step.event === 'end' && other?.fence === step.fence) open.delete(step.account);
    if (step.event === 'killed') for (const [account, { by }] of open) if (by === step.by) open.delete(account);
  }
  return found;
}

/** The enqueues that returned and that no later run covers: with what it found, and with its arguments. */
function uncovered(all: readonly Step[], onlyOne: (account: number) => boolean): string[] {
  const newest = new Map<number, { seen: number; version: number }>();
  const found: string[] = [];
  const finished = new Set(all.filter(({ event }) => event === 'end').map(({ fence }) => fence));
  for (const step of [...all].reverse()) {
    const best = newest.get(step.account) ?? { seen: 0, version: 0 };
    if (step.event === 'begin' && finished.has(step.fence)) {
      const { seen, version } = step;
      newest.set(step.account, { seen: Math.max(best.seen, seen), version: Math.max(best.version, version) });
    }
    if (step.event !== 'called') continue;
    const old = onlyOne(step.account) && best.version < step.version;
    if (best.seen < step.version || old) found.push(JSON.stringify(step));
  }
  return found;
}

describe('a mixed run: two producers and two workers in two languages', () => {
  it('runs no key twice at once and leaves nothing stale, though each worker is killed once', async function () {
    this.timeout(180_000);
    const here = mixedApp({ broker: place.broker(), redis: place.redis(), queue, namespace: NAMESPACE, by: 'node' });
    const { book } = here;
    const peer = new CeleryPeer(pythonOptions('python'));
    const workers: { end(): Promise<void> }[] = [];
    try {
      await peer.ask('declare', { queue });
      await here.app.connect();
      const node = await nodeWorker('node-1');
      workers.push({ end: () => node.kill() });
      const python = await pythonWorker('python-1');
      workers.push(python);

      const shared = Array.from({ length: ACCOUNTS / 2 }, (_, i) => i);
      const own = (from: number) => Array.from({ length: ACCOUNTS / 4 }, (_, i) => from + i);
      const accounts = { node: [...shared, ...own(50)], python: [...shared, ...own(75)] };
      const producing = Promise.all([
        here.produce(accounts.node, EVENTS / 2),
        peer.ask('produce', { accounts: accounts.python, count: EVENTS / 2 }),
      ]);
      const returned = (count: number) =>
        eventually(
          async () => {
            expect(await book.llen(`mixed:${queue}:steps`)).to.be.above(count);
          },
          { timeout: 60_000 },
        );

      await returned(EVENTS / 2);
      await node.kill('SIGKILL');
      await book.rpush(`mixed:${queue}:steps`, JSON.stringify({ event: 'killed', by: 'node-1' }));
      const nodeAgain = nodeWorker('node-2');
      await returned((EVENTS * 3) / 2);
      await python.end('SIGKILL');
      await book.rpush(`mixed:${queue}:steps`, JSON.stringify({ event: 'killed', by: 'python-1' }));
      const pythonAgain = pythonWorker('python-2');
      workers.push(await nodeAgain.then((worker) => ({ end: () => worker.kill() })), await pythonAgain);
      await producing;

      await eventually(
        async () => {
          for (let account = 0; account < ACCOUNTS; account++) {
            const [version, seen] = await Promise.all([
              book.get(`mixed:${queue}:version:${account}`),
              book.hget(`mixed:${queue}:result:${account}`, 'seen'),
            ]);
            expect(seen, `account ${account}`).to.equal(version);
            const owner = await book.hget(`${NAMESPACE}:lock:mixed.recompute:account:${account}`, 'o');
            expect(owner, `account ${account}`).to.equal(null);
          }
        },
        { timeout: 60_000 },
      );
      const all = await steps(book);
      const count = (event: string, by = '') =>
        all.filter((step) => step.event === event && step.by.startsWith(by)).length;
      expect(count('returned')).to.equal(EVENTS);
      expect(overlaps(all)).to.deep.equal([]);
      expect(uncovered(all, (account) => account >= ACCOUNTS / 2)).to.deep.equal([]);
      for (const worker of ['node-1', 'node-2', 'python-1', 'python-2']) {
        expect(count('end', worker), worker).to.be.above(20);
      }
      console.log(`      ${count('begin')} runs, ${count('begin') - count('end')} of them killed`);
    } finally {
      await Promise.all(workers.map((worker) => worker.end()));
      await peer.close();
      await here.app.close();
      book.disconnect();
    }
  });
});
