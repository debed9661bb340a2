import type { Duplex } from 'node:stream';
import type { ChannelModel } from 'amqplib';

/** The driver's socket: its types do not show it, and nothing else ends a connection whose peer is silent. */
export const socketOf = (model: ChannelModel): Duplex =>
  (model.connection as unknown as { readonly stream: Duplex }).stream;

/** The driver has given this connection up. */
export const isOver = (model: ChannelModel): boolean => socketOf(model).writableEnded || socketOf(model).destroyed;

/**
 * Gathers what is written in one turn of the event loop into one write to the network: the driver writes each message
 * and each acknowledgement on its own, and the system calls cost more than all the rest.
 */
export function gatherWrites(socket: Duplex): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let gathering = false;
  socket.write = (...args: unknown[]): boolean => {
    if (!gathering) {
      gathering = true;
      socket.cork();
      queueMicrotask(() => {
        gathering = false;
        socket.uncork();
      });
    }
    return write(...args);
  };
}
