import { expect } from 'chai';
import { createApp, Task } from 'solotask';
import { AccessRefusedError } from '../../lib/errors.js';
import { deadQueue } from '../../lib/transport.js';
import { eventually } from '../support/eventually.js';
import { type RabbitServer, startRabbit, testRedisUrl } from '../support/servers.js';
import { startProxy } from '../support/tcp-proxy.js';
import { frameOf, fresh, rabbit, rejection } from '../support/transports.js';

const TIMEOUT = 10_000;

describe('a RabbitMQ of its own', () => {
  let server: RabbitServer;
  before(async () => (server = await startRabbit()));
  after(() => server.stop());

  const listed = async (...what: string[]): Promise<Record<string, unknown>[]> =>
    JSON.parse(await server.ctl('--quiet', '--formatter', 'json', ...what)) as Record<string, unknown>[];

  it('sees two connections of an app, each consumer on a channel of its own, and heartbeats', async () => {
    const [one, other] = [fresh('one'), fresh('other')];
    class Loans {
      @Task({ queue: one })
      async recompute() {}

      @Task({ queue: other })
      async remind() {}
    }
    const links = { broker: server.url, locks: testRedisUrl(), namespace: fresh('ns') };
    await using app = createApp({ ...links, services: [Loans] });
    await app.connect({ name: 'loans', timeout: TIMEOUT });
    const worker = app.worker({ concurrency: 3, prefetch: 7 });
    await worker.start();
    await app.tasks(Loans).recompute();
    const connections = await listed('list_connections', 'name', 'client_properties', 'timeout');
    const names = connections.map(({ client_properties: properties }) =>
      new Map(pairs(properties)).get('connection_name'),
    );
    expect(names).to.have.members(['loans (consume)', 'loans (publish)']);
    for (const { timeout } of connections) expect(timeout).to.equal(20);
    const consumers = await listed('list_consumers', 'queue_name', 'channel_pid', 'prefetch_count', 'ack_required');
    const consumed = consumers.map(({ queue_name: name }) => name);
    expect(consumed).to.have.members([`${links.namespace}.v1.due`, one, other]);
    expect(new Set(consumers.map(({ channel_pid: pid }) => pid)).size).to.equal(3);
    for (const { queue_name: name, prefetch_count: prefetch, ack_required: acks } of consumers) {
      expect([prefetch, acks]).to.deep.equal([name === one || name === other ? 7 : 1_000, true]);
    }
    const channels = await listed('list_channels', 'confirm', 'consumer_count', 'global_prefetch_count');
    expect(channels.filter(({ confirm }) => confirm).length).to.equal(1);
    for (const channel of channels) expect(channel['global_prefetch_count']).to.equal(0);
  });

  // Names and arguments are fixed for good: a change is a 406 for everybody who has them.
  it('gets exactly these queues, with these arguments', async () => {
    const namespace = fresh('ns');
    const transport = rabbit(namespace, server.url);
    await transport.connect(TIMEOUT);
    const [work, old, ranked] = [fresh('work'), fresh('classic'), fresh('ranked')];
    await transport.declare([
      { name: work },
      { name: old, type: 'classic' },
      { name: ranked, type: 'classic', maxPriority: 5 },
    ]);
    const quorum = (to?: string, ttl?: number): Record<string, unknown> => ({
      'x-queue-type': 'quorum',
      'x-delivery-limit': 1_000_000,
      ...(to === undefined ? {} : deadLettersTo(to)),
      ...(to === undefined ? {} : { 'x-dead-letter-strategy': 'at-least-once', 'x-overflow': 'reject-publish' }),
      ...(ttl === undefined ? {} : { 'x-message-ttl': ttl }),
    });
    const classic = (to?: string, most?: number): Record<string, unknown> => ({
      'x-queue-type': 'classic',
      ...(to === undefined ? {} : deadLettersTo(to)),
      ...(most === undefined ? {} : { 'x-max-priority': most }),
    });
    const due = `${namespace}.v1.due`;
    const seconds = [1, 2, 5, 10, 15, 30];
    const hours = [1, 2, 4, 8, 12, 24];
    const rungs = [...seconds, ...seconds.map((n) => n * 60), ...hours.map((n) => n * 3_600)].map((n) => n * 1_000);
    const expected = new Map<string, unknown>([
      [work, quorum(deadQueue(work))],
      [deadQueue(work), quorum()],
      [old, classic(deadQueue(old))],
      [deadQueue(old), classic()],
      [ranked, classic(deadQueue(ranked), 5)],
      [deadQueue(ranked), classic()],
      [due, quorum(deadQueue(due))],
      [deadQueue(due), quorum()],
      ...rungs.map((rung): [string, unknown] => [`${namespace}.v1.delay.${rung}`, quorum(due, rung)]),
    ]);
    const queues = await listed('list_queues', 'name', 'durable', 'arguments');
    const ours = queues.filter(({ name }) => expected.has(String(name)) || String(name).startsWith(namespace));
    const found = ours.map(({ name, arguments: given }) => [String(name), Object.fromEntries(pairs(given))] as const);
    expect(Object.fromEntries(found)).to.deep.equal(Object.fromEntries(expected));
    expect(ours.map(({ durable }) => durable)).to.not.include(false);
    const bindings = await listed('list_bindings', 'source_name', 'destination_name');
    const bound = bindings.filter(({ source_name: source }) => String(source).startsWith(namespace));
    const names = rungs.map((rung) => `${namespace}.v1.delay.${rung}`);
    expect(bound.map((binding) => Object.values(binding))).to.have.deep.members(names.map((name) => [name, name]));
    await transport.close();
  });

  it('refuses a login for good also after a reconnect: everybody is told at once, and nobody tries again', async () => {
    await server.ctl('add_user', 'loans', 'first');
    await server.ctl('set_permissions', 'loans', '.*', '.*', '.*');
    const url = new URL(server.url);
    url.username = 'loans';
    url.password = 'first';
    const proxy = await startProxy(url.href);
    const transport = rabbit(fresh('ns'), proxy.url);
    const told: unknown[] = [];
    transport.listen({ connected() {}, disconnected: (link, error) => told.push(error), blocked() {} });
    await transport.connect(TIMEOUT);
    await server.ctl('change_password', 'loans', 'second');
    proxy.cut();
    const refusals = (): unknown[] => told.filter((error) => error instanceof AccessRefusedError);
    await eventually(() => expect(refusals().length).to.equal(2), { timeout: TIMEOUT });
    const begin = performance.now();
    const error = await rejection(transport.publish({ queue: 'any', frame: frameOf(), timeout: TIMEOUT }));
    expect(error).to.be.instanceOf(AccessRefusedError).with.property('message').that.contains('loans:***@');
    expect(performance.now() - begin).to.be.below(TIMEOUT / 2);
    expect(transport.health()).to.include({ publish: 'refused', consume: 'refused' });
    expect(transport.health().reason).to.contain('refuses the user or the password');
    await eventually(() => expect(proxy.clients).to.equal(0));
    await transport.close();
    await proxy.close();
  });
});

const deadLettersTo = (to: string): Record<string, unknown> => ({
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': to,
});

/** A table as rabbitmqctl writes it: `[["name", "type", value], …]`, or `[["name", value], …]`. */
const pairs = (table: unknown): [string, unknown][] =>
  Array.isArray(table)
    ? (table as unknown[][]).map((entry) => [String(entry[0]), entry.at(-1)])
    : Object.entries(table as object);
