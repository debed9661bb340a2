/** A producer or a worker of `npm run chaos`: ROLE, NAME, BOOKS, NAMESPACE, KEYS; AMQP_URL and REDIS_URL. */
import { createApp } from 'solotask';
import { pause, systemClock } from '../../lib/clock.js';
import { Books } from './books.js';
import { Chaos, RECIPES } from './service.js';

const setting = (name: string): string => process.env[name] ?? '';
const name = setting('NAME');
const books = new Books(setting('BOOKS'), name);
const app = createApp({
  broker: setting('AMQP_URL'),
  locks: setting('REDIS_URL').split(','),
  namespace: setting('NAMESPACE'),
  services: [new Chaos(books, name)],
});
app.on('task:discarded', ({ id, side, reason }) => {
  if (side === 'worker') books.said({ event: 'task:discarded', id, more: reason });
});
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
// Nothing outlives who started it, however that ended.
process.on('disconnect', () => process.exit());
process.channel?.unref();

async function produce(): Promise<void> {
  const stub = app.tasks(Chaos);
  const once = async (): Promise<void> => {
    const recipe = RECIPES[Math.floor(Math.random() * RECIPES.length)] ?? 'coalesce';
    const key = `${Math.floor(Math.random() * Number(setting('KEYS')))}`;
    const version = books.called(`${recipe} ${key}`);
    const receipt = await stub[recipe](key, version).catch((error: Error & { code?: string }) => error);
    if (receipt instanceof Error) books.returned(version, 'failed', '', receipt.code ?? receipt.message);
    else books.returned(version, receipt.status, receipt.id, receipt.holder?.phase ?? null);
  };
  const calls = new Set<Promise<void>>();
  while (!stop.signal.aborted) {
    const call = once().finally(() => calls.delete(call));
    calls.add(call);
    await pause(systemClock, Math.random() * 30, stop.signal);
  }
  await Promise.all(calls);
}

async function work(): Promise<void> {
  const worker = app.worker({ concurrency: 8 });
  // The broker may be down just now.
  while (!stop.signal.aborted) {
    const started = await worker.start().then(
      () => true,
      () => false,
    );
    if (started) break;
    await pause(systemClock, 500, stop.signal);
  }
  if (!stop.signal.aborted) await new Promise((resolve) => stop.signal.addEventListener('abort', resolve));
  await worker.stop();
}

await (setting('ROLE') === 'worker' ? work() : produce());
await app.close();
books.close();
