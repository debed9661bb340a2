import amqplib, { type Channel, type ChannelModel, type ConfirmChannel, type ConsumeMessage } from 'amqplib';
import { expect } from 'chai';
import { systemClock } from '../../lib/clock.js';
import { createRabbitTransport } from '../../lib/transports/rabbitmq.js';
import { DeliveryChannel } from '../../lib/transports/rabbitmq-delivery.js';
import type { Delivery } from '../../lib/transport.js';
import { eventually } from '../support/eventually.js';
import { testAmqpUrl, uniqueName } from '../support/servers.js';

describe('the acknowledgements of a channel', () => {
  let model: ChannelModel;
  let sender: ConfirmChannel;
  let channel: Channel;
  let queue: string;
  /** Tags as they were sent; with a + those that stand for all before them. */
  let sent: string[];
  let deliveries: Delivery[];
  let bunch: DeliveryChannel;

  before(async () => {
    model = await amqplib.connect(testAmqpUrl());
    sender = await model.createConfirmChannel();
  });
  after(() => model.close());

  beforeEach(async () => {
    [queue, sent, deliveries] = [uniqueName('acks'), [], []];
    await sender.assertQueue(queue, { durable: true });
    for (let i = 1; i <= 10; i++) sender.sendToQueue(queue, Buffer.from(String(i)));
    await sender.waitForConfirms();
    channel = await model.createChannel();
    const ack = channel.ack.bind(channel);
    channel.ack = (message: ConsumeMessage, upTo = false) => {
      sent.push(`${message.fields.deliveryTag}${upTo ? '+' : ''}`);
      ack(message, upTo);
    };
    bunch = new DeliveryChannel(channel, () => {});
    await channel.consume(queue, (message) => message && deliveries.push(bunch.receive(queue, message)));
    await eventually(() => expect(deliveries).to.have.length(10));
  });
  afterEach(() => sender.deleteQueue(queue));

  /** What the queue holds when the channel is gone, by the numbers of the messages. */
  async function left(): Promise<string[]> {
    await channel.close();
    const found: string[] = [];
    await eventually(async () => {
      for (let next = await sender.get(queue); next !== false; next = await sender.get(queue)) {
        found.push(next.content.toString());
        sender.ack(next);
      }
      expect(found).to.have.length(10 - acknowledged);
    });
    return found.sort((one, other) => Number(one) - Number(other));
  }
  let acknowledged = 0;
  const ack = (...numbers: number[]): void => {
    for (const number of numbers) expect(deliveries[number - 1]?.ack()).to.equal('settled');
    acknowledged += numbers.length;
  };
  beforeEach(() => {
    acknowledged = 0;
  });

  it('leave as one for all that are before every open delivery, and as one each for the others', async () => {
    ack(1, 3, 2, 5);
    expect(sent).to.deep.equal([]);
    await eventually(() => expect(sent).to.deep.equal(['5', '3+']));
    ack(4, 8);
    await eventually(() => expect(sent.slice(2)).to.deep.equal(['8', '4+']));
    expect(await left()).to.deep.equal(['6', '7', '9', '10']);
  });

  it('never take along what was given back, or is still open', async () => {
    expect(deliveries[1]?.requeue()).to.equal('settled');
    ack(1, 4, 3);
    await eventually(() => expect(sent).to.deep.equal(['4+']));
    expect(deliveries[1]?.ack()).to.equal('stale');
    expect(deliveries[0]?.ack()).to.equal('stale');
    expect(await left()).to.deep.equal(['2', '5', '6', '7', '8', '9', '10']);
  });

  it('leave at once when somebody asks, and not at all when the channel is gone', async () => {
    ack(1, 2);
    await deliveries[0]?.flushed();
    expect(sent).to.deep.equal(['2+']);
    ack(3);
    bunch.end();
    bunch.send();
    expect(deliveries[3]?.ack()).to.equal('stale');
  });

  it('leave before their channel closes, and none is taken for sent after that', async () => {
    ack(1, 2);
    bunch.closing();
    expect(sent).to.deep.equal(['2+']);
    expect([deliveries[2]?.stale, deliveries[2]?.ack(), deliveries[3]?.requeue()]).to.deep.equal([
      true,
      'stale',
      'stale',
    ]);
    expect(bunch.open).to.equal(true);
    expect(await left()).to.have.length(8);
  });

  it('are with the broker when a subscription is closed right after them', async () => {
    const transport = createRabbitTransport({
      url: testAmqpUrl(),
      namespace: uniqueName('acks'),
      clock: systemClock,
      connectionName: 'acks',
    });
    await transport.connect(10_000);
    const taken: Delivery[] = [];
    await channel.close();
    const subscription = await transport.consume(queue, 10, { deliver: (one) => taken.push(one), lost: () => {} });
    await eventually(() => expect(taken).to.have.length(10));
    for (const delivery of taken.slice(0, 9)) delivery.ack();
    await Promise.all([subscription.cancel(), transport.close()]);
    await eventually(async () => expect((await sender.checkQueue(queue)).messageCount).to.equal(1));
  });
});
