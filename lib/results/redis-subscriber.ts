import type { Redis } from 'ioredis';
import type { Clock, Timer } from '../clock.js';

/** How often a link that says nothing is asked whether it still lives, ms: a dead one is silent, too. */
const BEAT = 10_000;

/** Channels on one connection of their own, opened at the first; after a loss they are subscribed again. */
export class RedisSubscriber {
  readonly #client: Redis;
  readonly #clock: Clock;
  readonly #ring: (channel: string) => void;
  readonly #channels = new Set<string>();
  #beat: Timer | undefined;
  #closed = false;

  /** `ring`: something was said on a channel, or may have been said before it was subscribed. */
  constructor(client: Redis, clock: Clock, ring: (channel: string) => void) {
    this.#client = client;
    this.#clock = clock;
    this.#ring = ring;
    client.on('message', ring);
    client.on('ready', () => this.#subscribe([...this.#channels]));
    // It connects again by itself; who waits has a timeout of its own.
    client.on('error', () => {});
  }

  add(channel: string): void {
    this.#channels.add(channel);
    this.#beat ??= this.#clock.after(BEAT, () => this.#check(), { idle: true });
    if (this.#client.status === 'wait') this.#client.connect().catch(() => {});
    else if (this.#client.status === 'ready') this.#subscribe([channel]);
  }

  remove(channel: string): void {
    this.#channels.delete(channel);
    if (this.#client.status === 'ready') this.#client.unsubscribe(channel).catch(() => {});
  }

  close(): void {
    this.#closed = true;
    this.#beat?.cancel();
    this.#client.disconnect();
  }

  /** Who looked before Redis had confirmed looks again. Unconfirmed, the link is of no use: a fresh one subscribes all. */
  #subscribe(channels: readonly string[]): void {
    if (channels.length === 0) return;
    this.#client.subscribe(...channels).then(
      () => channels.forEach(this.#ring),
      () => this.#closed || this.#client.disconnect(true),
    );
  }

  #check(): void {
    const [channel] = this.#channels;
    this.#beat = undefined;
    if (channel === undefined) return;
    this.#beat = this.#clock.after(BEAT, () => this.#check(), { idle: true });
    if (this.#client.status === 'ready') this.#subscribe([channel]);
  }
}
