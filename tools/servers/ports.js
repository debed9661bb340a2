// Free ports on 127.0.0.1, and waiting until a server answers on one.
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

// Below the range from which the system takes ports for outgoing connections: a server that is down for a moment finds
// its port free when it restarts.
const LOWEST = 12_000;
const HIGHEST = 32_000;
const given = new Set();

const canListen = (port) =>
  new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });

/** A port on which nobody listens, and which this process has not handed out before. */
export async function freePort() {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    if (given.has(port)) continue;
    given.add(port);
    if (await canListen(port)) return port;
  }
}

/** Sends `greeting` and resolves with the first bytes of the answer; rejects when there is none within 2 s. */
function ask(port, greeting) {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setTimeout(2000, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => socket.write(greeting));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed without an answer')));
    socket.once('data', (answer) => {
      resolve(answer.toString('latin1'));
      socket.destroy();
    });
  });
}

/** Resolves once the server on `port` gives an answer that `accept` takes; rejects when `failed()` gives a reason. */
export async function waitForAnswer({ port, greeting, accept, failed, timeout = 60_000 }) {
  const end = performance.now() + timeout;
  while (performance.now() < end) {
    const reason = failed();
    if (reason !== undefined) throw new Error(reason);
    const answer = await ask(port, greeting).catch(() => '');
    if (accept(answer)) return;
    await sleep(25);
  }
  throw new Error(`no answer on port ${port} within ${timeout / 1000} s`);
}

export const REDIS_HELLO = { greeting: 'PING\r\n', accept: (answer) => /^(\+PONG|-NOAUTH)/.test(answer) };
/** An AMQP protocol header; the answer is a method frame on channel 0, Connection.Start. */
export const AMQP_HELLO = {
  greeting: Buffer.from('AMQP\0\0\x09\x01', 'latin1'),
  accept: (answer) => answer.startsWith('\x01\0\0'),
};
