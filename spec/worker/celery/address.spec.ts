import { expect } from 'chai';
import { readCommand } from '../../../lib/worker/celery/address.js';

const NODE = 'web-1@host.example';
const REPLY = { exchange: 'reply.celery.pidbox', routing_key: 'oid' };

const read = (message: unknown, contentType = 'application/json'): ReturnType<typeof readCommand> =>
  readCommand({ properties: { contentType }, headers: {}, body: Buffer.from(JSON.stringify(message)) }, NODE);

const heard = (address: object): boolean => read({ method: 'ping', ...address }) !== undefined;

describe('commands of Celery clients', () => {
  it('are read as kombu writes them', () => {
    const message = { method: 'active', arguments: { safe: true }, destination: null, pattern: null, matcher: null };
    const command = read({ ...message, ticket: 't', reply_to: REPLY });
    expect(command).to.deep.equal({
      method: 'active',
      args: { safe: true },
      reply: { routingKey: 'oid', ticket: 't' },
    });
    expect(read(message)?.reply).to.equal(undefined);
  });

  it('are for everybody, for those that are named, or for those whose name matches', () => {
    expect(heard({})).to.equal(true);
    expect(heard({ destination: [] })).to.equal(true);
    expect(heard({ destination: [NODE, 'other@host'] })).to.equal(true);
    expect(heard({ destination: ['other@host'] })).to.equal(false);
    // Kombu looks at the pattern only where nobody is named, and only with a matcher.
    expect(heard({ destination: [NODE], pattern: 'job*', matcher: 'glob' })).to.equal(true);
    expect(heard({ pattern: 'job*' })).to.equal(true);
    const globs = {
      '*': true,
      'web-?@*': true,
      'web-[12]@*': true,
      'web-[!12]@*': false,
      'web-1': false,
      'web*[]': false,
    };
    for (const [pattern, expected] of Object.entries(globs)) {
      expect(heard({ pattern, matcher: 'glob' }), pattern).to.equal(expected);
    }
    expect(heard({ pattern: 'web-1@host.example', matcher: 'glob' })).to.equal(true);
    expect(heard({ pattern: 'web-1@host?example', matcher: 'glob' })).to.equal(true);
    expect(heard({ pattern: 'web.1@hostXexample', matcher: 'glob' })).to.equal(false);
    const patterns = { 'web-\\d': true, host: false, '.*host': true, '(': false, 'job|web': true };
    for (const [pattern, expected] of Object.entries(patterns)) {
      expect(heard({ pattern, matcher: 'pcre' }), pattern).to.equal(expected);
    }
    expect(heard({ pattern: '*', matcher: 'unknown' })).to.equal(false);
  });

  it('count as none when they cannot be read', () => {
    expect(read({ method: 'ping' }, 'application/x-python-serialize')).to.equal(undefined);
    for (const message of [null, 1, [], {}, { method: 1 }]) expect(read(message)).to.equal(undefined);
  });

  it('are answered nowhere but where answers go', () => {
    for (const reply_to of [
      { ...REPLY, exchange: 'other' },
      { ...REPLY, routing_key: 'x'.repeat(256) },
      {},
      'x',
      null,
    ]) {
      expect(read({ method: 'ping', reply_to })?.reply).to.equal(undefined);
    }
  });
});
