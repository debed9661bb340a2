import type { Channel, ChannelModel, ConfirmChannel } from 'amqplib';
import type { Clock } from '../clock.js';
import { BrokerUnavailableError } from '../errors.js';
import { settled } from './promises.js';
import { isOver } from './rabbitmq-socket.js';

/** ms; the broker answers the end of a channel or of a consumer at once, or the link is dead. */
export const CLOSE_TIMEOUT = 2_000;

/** Tells why a channel closed: the broker's error, or undefined when we or the connection did it. */
export type ChannelLost = (error: Error | undefined) => void;

/**
 * Opens a channel, listened to from its first moment on; without a listener an error of one channel would end the
 * connection under all its neighbours. `lost` is called once, when it closes for whatever reason.
 */
export async function openChannel(model: ChannelModel, kind: 'plain', lost?: ChannelLost): Promise<Channel>;
export async function openChannel(model: ChannelModel, kind: 'confirm', lost?: ChannelLost): Promise<ConfirmChannel>;
export async function openChannel(
  model: ChannelModel,
  kind: 'plain' | 'confirm',
  lost?: ChannelLost,
): Promise<Channel | ConfirmChannel> {
  const channel = await (kind === 'confirm' ? model.createConfirmChannel() : model.createChannel());
  let reason: Error | undefined;
  channel.on('error', (error) => (reason = error));
  channel.on('close', () => lost?.(reason));
  if (isOver(model)) throw new BrokerUnavailableError('the connection to RabbitMQ was lost');
  return channel;
}

/** Closes a channel: what was sent on it before, acknowledgements above all, is with the broker then. Never rejects. */
export async function closeChannel(channel: Channel, clock: Clock): Promise<void> {
  await settled(clock, CLOSE_TIMEOUT, channel.close());
}

/** Runs something on a channel of its own, so that its failure harms nobody else's. */
export async function onThrowAwayChannel<T>(
  model: ChannelModel,
  clock: Clock,
  run: (channel: Channel) => Promise<T>,
): Promise<T> {
  const channel = await openChannel(model, 'plain');
  try {
    return await run(channel);
  } finally {
    await closeChannel(channel, clock);
  }
}
