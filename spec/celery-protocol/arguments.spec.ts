import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { argumentsText, decodeBody, readArguments, withArguments } from '../../lib/celery-protocol.js';

describe('arguments that are kept with a key', () => {
  const body = { args: [1, 'é\n\u2028', null], kwargs: { a: { b: [true] } } };

  it('come back as they were', () => {
    expect(readArguments(argumentsText(body))).to.deep.equal(body);
    expect(argumentsText(body)).to.not.contain('\n');
  });

  it('take the place of a message’s own, whatever its encoding, and leave the rest of it', () => {
    const compressed = {
      properties: { contentType: 'application/json', contentEncoding: 'binary', correlationId: 'x', priority: 3 },
      headers: { id: 'x', task: 't', compression: 'application/x-gzip', argsrepr: '[0]', lock_key: 'k' },
      body: gzipSync('[[0],{},{}]'),
    };
    const changed = withArguments(compressed, argumentsText(body));
    expect(decodeBody(changed)).to.deep.equal(body);
    expect(changed.properties).to.include({ correlationId: 'x', priority: 3 });
    expect(changed.headers).to.include({ id: 'x', task: 't', lock_key: 'k', kwargsrepr: '{"a":{"b":[true]}}' });
    expect(compressed.headers.compression).to.equal('application/x-gzip');
  });

  it('are read as by message when a Celery task has kept them', () => {
    const kept = '[[{"__type__": "datetime", "__value__": "2026-01-02T03:04:05+00:00"}], {"n": 1}]';
    expect(readArguments(kept)).to.deep.equal({ args: ['2026-01-02T03:04:05+00:00'], kwargs: { n: 1 } });
  });
});
