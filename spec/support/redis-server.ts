import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { eventually } from './eventually.js';

/** The Redis that all specs share; they never skip for want of one. */
export function testRedisUrl(): string {
  const url = process.env['SOLOTASK_TEST_REDIS_URL'];
  if (url === undefined || url === '')
    throw new Error('SOLOTASK_TEST_REDIS_URL is not set: run the specs by `npm test`');
  return url;
}

/** A Redis of a spec's own, to be paused, killed and restarted. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  kill(signal?: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Empty, on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}

async function launch(port: number, directory: string, args: readonly string[]): Promise<ChildProcess> {
  const place = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', directory];
  const child = spawn('redis-server', [...place, ...args], { stdio: 'ignore' });
  await once(child, 'spawn');
  const client = new Redis(port, { lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => {});
  await eventually(async () => {
    const answer = await client.connect().then(
      () => 'ready',
      (error: Error) => error.message,
    );
    if (answer !== 'ready' && client.status !== 'ready' && !args.includes('--requirepass')) throw new Error(answer);
  });
  client.disconnect();
  return child;
}

export async function startRedis({ args = [] }: { args?: readonly string[] } = {}): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'solotask-redis-'));
  const port = await freePort();
  let child = await launch(port, directory, args);
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    if (signal === 'SIGKILL') await gone;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    kill,
    async restart() {
      await kill();
      child = await launch(port, directory, args);
    },
    async stop() {
      await kill();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
