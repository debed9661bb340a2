import { gatherWrites } from '../gather-writes.js';
import { type ChannelModel, connect } from 'amqplib';
import { type Clock, pause } from '../clock.js';
import { AccessRefusedError, BrokerUnavailableError, ClosedError, type TaskError } from '../errors.js';
import type { LinkState, TransportEvents } from '../transport.js';
import { type Deferred, deferred, settled } from './promises.js';
import type { RabbitAddress } from './rabbitmq-address.js';
import { hastenMessages } from './rabbitmq-encoder.js';
import { connectError } from './rabbitmq-errors.js';
import { readProperties } from './rabbitmq-properties.js';
import { abandonSocket, isOver, socketOf } from './rabbitmq-socket.js';

/** What a link needs to know. */
export interface LinkSettings {
  readonly name: 'publish' | 'consume';
  readonly address: RabbitAddress;
  /** Shown by the broker beside the connection. */
  readonly connectionName: string;
  readonly clock: Clock;
  readonly events: () => TransportEvents;
}

/** Without `noDelay` small confirmed messages go at 23/s; without `timeout` a silent peer hangs the handshake for ever. */
const SOCKET = {
  noDelay: true,
  keepAlive: true,
  keepAliveDelay: 15_000,
  timeout: 10_000,
  /** Bytes that one turn of the event loop may write at once. */
  writableHighWaterMark: 256 * 1024,
};
/** ms; the bounds that a wait before a reconnect is drawn below. */
const BACK_OFF = 100;
const LONGEST_BACK_OFF = 10_000;
/** ms; a connection that lived so long was a good one, and the back-off starts over. */
const STABLE = 5_000;
/** ms; closing a dead connection never settles. */
const CLOSE_TIMEOUT = 2_000;

/** The wait before attempt `n` (from 0) of anything that is rebuilt, ms: full jitter. */
export const backOff = (clock: Clock, n: number): number =>
  clock.random() * Math.min(LONGEST_BACK_OFF, BACK_OFF * 2 ** Math.min(n, 20));

/** One connection to the broker, opened again whenever it is lost, until it is closed or the broker refuses it. */
export class Link {
  readonly #settings: LinkSettings;
  readonly #stop = new AbortController();
  /** Ends a handshake under way: a silent peer would keep the process for as long as `SOCKET.timeout`. */
  #giveUp = new AbortController();
  #up: Deferred<ChannelModel> = deferred();
  #model: ChannelModel | undefined;
  #fatal: TaskError | undefined;
  #lastError: TaskError | undefined;
  #alarm: string | undefined;
  #started = false;
  #wasUp = false;

  constructor(settings: LinkSettings) {
    this.#settings = settings;
  }

  /** Why there is no connection, for the error of somebody who waited in vain. */
  get lastError(): TaskError | undefined {
    return this.#lastError;
  }

  /** What the alarm is about that blocks this link; undefined when none does. */
  get alarm(): string | undefined {
    return this.#alarm;
  }

  /** How it stands now. */
  get state(): LinkState {
    if (this.#fatal !== undefined) return 'refused';
    if (this.#model === undefined) return 'down';
    return this.#alarm === undefined ? 'up' : 'blocked';
  }

  /** Starts connecting, once. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    void this.#run();
  }

  /** The connection, as soon as there is one. Rejects with `AccessRefusedError` or `ClosedError`. */
  ready(): Promise<ChannelModel> {
    return this.#up.promise;
  }

  /** Ends the connection for good. Its channels are closed before, by those who own them. */
  async close(): Promise<void> {
    this.#stop.abort();
    if (this.#model !== undefined) this.#up = deferred();
    this.#up.reject(new ClosedError('the connection to RabbitMQ was closed'));
    const model = this.#model;
    if (model === undefined) return this.#giveUp.abort();
    await settled(this.#settings.clock, CLOSE_TIMEOUT, model.close());
    abandonSocket(model);
  }

  async #run(): Promise<void> {
    const { clock } = this.#settings;
    let attempt = 0;
    while (!this.#stop.signal.aborted && this.#fatal === undefined) {
      const since = clock.monotonic();
      const model = await this.#connect();
      if (model !== undefined) await this.#life(model);
      attempt = model !== undefined && clock.monotonic() - since > STABLE ? 0 : attempt + 1;
      if (this.#fatal === undefined) await pause(clock, backOff(clock, attempt - 1), this.#stop.signal);
    }
  }

  async #connect(): Promise<ChannelModel | undefined> {
    const { address, connectionName } = this.#settings;
    const clientProperties = { connection_name: connectionName };
    // The driver gives it all to the socket, the signal too, which its types do not know.
    // One for each socket, which leaves its listener there.
    this.#giveUp = new AbortController();
    const options = { ...SOCKET, signal: this.#giveUp.signal, clientProperties };
    try {
      return await connect(address.url, options);
    } catch (error) {
      this.#failed(connectError(error, address));
      return undefined;
    }
  }

  /** A virtual host that was there before comes back: a broker that starts has none for a moment. */
  #failed(error: TaskError): void {
    this.#lastError = error;
    if (!(error instanceof AccessRefusedError) || (this.#wasUp && 'vhost' in error.data)) return;
    this.#fatal = error;
    this.#up.reject(error);
    if (this.#wasUp) this.#settings.events().disconnected(this.#settings.name, error);
  }

  /** Resolves when the connection is gone. */
  async #life(model: ChannelModel): Promise<void> {
    const { name } = this.#settings;
    const over = this.#watch(model, (raised, reason) => {
      this.#alarm = raised ? (reason ?? 'an alarm') : undefined;
      this.#settings.events().blocked(raised, reason);
    });
    if (this.#stop.signal.aborted || isOver(model)) {
      abandonSocket(model);
      return;
    }
    this.#model = model;
    gatherWrites(socketOf(model));
    hastenMessages(model);
    readProperties(model);
    this.#wasUp = true;
    this.#lastError = undefined;
    this.#settings.events().connected(name);
    this.#up.resolve(model);
    const error = await over;
    this.#model = undefined;
    const blocked = this.#alarm !== undefined;
    this.#alarm = undefined;
    abandonSocket(model);
    if (this.#stop.signal.aborted) return;
    this.#lastError = new BrokerUnavailableError(
      `the connection to ${this.#settings.address.text} was lost`,
      {},
      error,
    );
    this.#up = deferred();
    if (blocked) this.#settings.events().blocked(false, undefined);
    this.#settings.events().disconnected(name, error);
  }

  /** Resolves when the connection is gone. */
  #watch(model: ChannelModel, blocked: TransportEvents['blocked']): Promise<Error | undefined> {
    return new Promise((resolve) => {
      let reason: Error | undefined;
      model.on('error', (error) => (reason = error));
      model.on('close', (error) => resolve(reason ?? error));
      model.on('blocked', (why) => blocked(true, why));
      model.on('unblocked', () => blocked(false, undefined));
    });
  }
}
