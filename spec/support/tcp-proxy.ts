import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP proxy of a spec's own, so that links can be cut without touching anybody else's. */
export interface TcpProxy {
  /** The target's URL with the proxy's host and port. */
  readonly url: string;
  /** Clients that are connected now. */
  readonly clients: number;
  /** Destroys every link that is open now; new ones are accepted, and hear again. */
  cut(): void;
  /** Clients hear nothing more of what the target says, until the cut. */
  mute(): void;
  /** The clients of now hear nothing more, and are not told; those that connect later hear. */
  deafen(): void;
  /** What the clients of now say is kept back from here on; those that connect later are not concerned. */
  hold(): void;
  /** What is kept back. */
  readonly held: string;
  /** Cuts off the clients of `hold`; what they said stays on its way, and the target does not know that they are gone. */
  strand(): void;
  /** What was kept back reaches the target. */
  deliver(): void;
  /** Destroys links as they come, or accepts them again. */
  refuse(refusing: boolean): void;
  close(): Promise<void>;
}

/**
 * Starts a proxy on a free port of 127.0.0.1 in front of the host of `target`; `forward` changes what clients say, without
 * changing its length.
 */
export async function startProxy(target: string, forward = (chunk: Buffer): Buffer => chunk): Promise<TcpProxy> {
  const url = new URL(target);
  const { hostname: host } = url;
  const port = Number(url.port);
  const sockets = new Set<Socket>();
  const clients = new Set<Socket>();
  const deaf = new WeakSet<Socket>();
  const held = new Map<Socket, { chunks: Buffer[]; upstream: Socket }>();
  const upstreams = new WeakMap<Socket, Socket>();
  const state = { muted: false, refusing: false };
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
  };
  const server = createServer((client) => {
    if (state.refusing) return void client.destroy();
    const upstream = keep(connect(port, host));
    keep(client).on('data', (chunk: Buffer) => {
      const back = held.get(client);
      if (back === undefined) upstream.write(forward(chunk));
      else back.chunks.push(chunk);
    });
    clients.add(client);
    upstreams.set(client, upstream);
    client.on('close', () => clients.delete(client));
    upstream.on('data', (chunk) => state.muted || deaf.has(client) || client.write(chunk));
    client.on('close', () => held.has(client) || upstream.destroy());
    upstream.on('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url.port = String((server.address() as AddressInfo).port);
  const cut = (): void => {
    state.muted = false;
    sockets.forEach((socket) => socket.destroy());
  };
  return {
    url: url.href,
    get clients() {
      return clients.size;
    },
    cut,
    mute: () => void (state.muted = true),
    deafen: () => clients.forEach((client) => deaf.add(client)),
    hold: () => clients.forEach((client) => held.set(client, { chunks: [], upstream: upstreams.get(client)! })),
    get held() {
      return [...held.values()].map(({ chunks }) => Buffer.concat(chunks).toString()).join('');
    },
    strand: () => held.forEach((_, client) => client.destroy()),
    deliver: () => {
      for (const { chunks, upstream } of held.values()) for (const chunk of chunks.splice(0)) upstream.write(chunk);
    },
    refuse: (refusing) => void (state.refusing = refusing),
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
