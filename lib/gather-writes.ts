import type { Duplex } from 'node:stream';

/**
 * Gathers what is written during one callback of the event loop into one write to the network: drivers write each command, each
 * message and each acknowledgement on its own, and the system calls, here and at the other end, cost more than all the
 * rest.
 */
export function gatherWrites(socket: Duplex): void {
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  let gathering = false;
  const send = (): void => {
    gathering = false;
    socket.uncork();
  };
  socket.write = (...args: unknown[]): boolean => {
    if (!gathering) {
      gathering = true;
      socket.cork();
      // After every promise callback that is due now, those of this turn included that they make due.
      queueMicrotask(() => process.nextTick(send));
    }
    return write(...args);
  };
}
