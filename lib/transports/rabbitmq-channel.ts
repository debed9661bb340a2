import type { Channel, ChannelModel, ConfirmChannel } from 'amqplib';
import type { Clock } from '../clock.js';
import { BrokerUnavailableError } from '../errors.js';
import { settled } from './promises.js';
import { isOver } from './rabbitmq-socket.js';

/** ms; the broker answers the end of a channel or of a consumer at once, or the link is dead. */
export const CLOSE_TIMEOUT = 2_000;
/**
 * ms; an answer takes milliseconds. One about a quorum queue that was declared right before a crash of the broker may
 * stay away for minutes, and everything else on that channel waits behind it: another channel gets an answer.
 */
export const ANSWER_TIMEOUT = 15_000;

/** Tells why a channel closed: the broker's error, or undefined when we or the connection did it. */
export type ChannelLost = (error: Error | undefined) => void;

/** What the broker answers; `BrokerUnavailableError` when it does not: the channel is of no use then. */
export async function answered<T>(clock: Clock, answer: Promise<T>, ms = ANSWER_TIMEOUT): Promise<T> {
  if (await settled(clock, ms, answer)) return answer;
  throw new BrokerUnavailableError(`RabbitMQ did not answer within ${ms / 1_000} s`);
}

/**
 * Opens a channel, listened to from its first moment on; without a listener an error of one channel would end the
 * connection under all its neighbours. `lost` is called once, when it closes for whatever reason.
 */
export const openChannel = (model: ChannelModel, clock: Clock, lost?: ChannelLost): Promise<Channel> =>
  opened(model.createChannel(), model, clock, lost);

/** The same, for publishes that are confirmed. */
export const openConfirmChannel = (model: ChannelModel, clock: Clock, lost: ChannelLost): Promise<ConfirmChannel> =>
  opened(model.createConfirmChannel(), model, clock, lost);

async function opened<T extends Channel>(
  opening: Promise<T>,
  model: ChannelModel,
  clock: Clock,
  lost: ChannelLost | undefined,
): Promise<T> {
  let abandoned = false;
  let reason: Error | undefined;
  const listened = opening.then((channel) => {
    channel.on('error', (error) => (reason = error));
    channel.on('close', () => abandoned || lost?.(reason));
    return channel;
  });
  const channel = await answered(clock, listened).catch((error: unknown) => {
    abandoned = true;
    listened.then((late) => closeChannel(late, clock)).catch(() => {});
    throw error;
  });
  if (isOver(model)) throw new BrokerUnavailableError('the connection to RabbitMQ was lost');
  return channel;
}

/** Closes a channel: what was sent on it before, acknowledgements above all, is with the broker then. Never rejects. */
export async function closeChannel(channel: Channel, clock: Clock): Promise<void> {
  await settled(clock, CLOSE_TIMEOUT, channel.close());
}

/** Runs something on a channel of its own, so that its failure harms nobody else's; within `ms`. */
export async function onThrowAwayChannel<T>(
  model: ChannelModel,
  clock: Clock,
  run: (channel: Channel) => Promise<T>,
  ms = ANSWER_TIMEOUT,
): Promise<T> {
  const channel = await openChannel(model, clock);
  try {
    return await answered(clock, run(channel), ms);
  } finally {
    await closeChannel(channel, clock);
  }
}
