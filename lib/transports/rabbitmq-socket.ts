import type { Duplex } from 'node:stream';
import type { ChannelModel } from 'amqplib';

/** The driver's socket: its types do not show it, and nothing else ends a connection whose peer is silent. */
export const socketOf = (model: ChannelModel): Duplex =>
  (model.connection as unknown as { readonly stream: Duplex }).stream;

/** The driver has given this connection up. */
export const isOver = (model: ChannelModel): boolean => socketOf(model).writableEnded || socketOf(model).destroyed;

/**
 * Gathers what is written in one turn of the event loop into one write to the socket: the driver makes a system call
 * for every message and every acknowledgement, which costs more than all the rest.
 */
export class WriteBatch {
  readonly #socket: Duplex;
  #held = false;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  /** Call it before writing. The driver itself writes one turn later, hence the two. */
  hold(): void {
    if (this.#held) return;
    this.#held = true;
    this.#socket.cork();
    setImmediate(() => setImmediate(() => this.#flush()));
  }

  #flush(): void {
    this.#held = false;
    this.#socket.uncork();
  }
}
