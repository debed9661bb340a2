import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { Receipt, type ReceiptParts } from '../../lib/client/receipt.js';
import { resultReader } from '../../lib/client/result-reader.js';
import { pause, systemClock } from '../../lib/clock.js';
import type { StoredResult } from '../../lib/result-backend.js';
import { createMemoryResults } from '../../lib/results/memory.js';
import { rejection } from '../support/transports.js';

describe('the result of a receipt', () => {
  const results = createMemoryResults({ clock: systemClock });
  const closed = new AbortController();
  const reader = resultReader({ results, clock: systemClock, closed: closed.signal });
  const receipt = (id: string, more: Partial<ReceiptParts> = {}) =>
    new Receipt({ status: 'enqueued', id, key: undefined, reader, ...more });
  const keep = (id: string, result: StoredResult) => results.store(id, 't', result);
  const succeeded = (value: unknown, fence: number): StoredResult => ({ status: 'succeeded', value, fence });
  const dropped = (holder: string, after?: number): StoredResult => ({ status: 'dropped', holder, after });

  it('has one listener for the end of the app, however many wait', async () => {
    const waiting = Array.from({ length: 20 }, (_, i) => receipt(`many ${i}`).result());
    expect(getEventListeners(closed.signal, 'abort')).to.have.length(1);
    for (let i = 0; i < 20; i++) await keep(`many ${i}`, succeeded(i, 1));
    expect(await Promise.all(waiting)).to.have.length(20);
  });

  it('is that of the last holder of a chain of dropped messages, however long it takes to be told', async () => {
    const waiting = receipt('a').result();
    await keep('a', dropped('b'));
    await pause(systemClock, 5);
    await keep('c', succeeded(3, 1));
    await keep('b', dropped('c'));
    expect(await waiting).to.equal(3);
  });

  it('is refused when the chain leads back to itself, or is longer than any can be', async () => {
    await keep('x', dropped('y'));
    await keep('y', dropped('x'));
    for (const id of ['x', 'y']) {
      const error = await rejection(receipt(id).result());
      expect(error).to.have.property('code', 'RESULT_TIMEOUT');
      expect(error)
        .to.have.property('message')
        .that.matches(/leads back/);
    }
    await keep('self', dropped('self'));
    expect(await rejection(receipt('self').result())).to.have.property('code', 'RESULT_TIMEOUT');
    for (let i = 0; i < 200; i++) await keep(`n${i}`, dropped(`n${i + 1}`));
    expect(await rejection(receipt('n0').result())).to.have.property('code', 'RESULT_TIMEOUT');
  });

  it('is of a run with a larger fence than that of the refusal, when the receipt or a dropped message says so', async () => {
    await keep('holder', succeeded('first', 10));
    const coalesced = receipt('holder', { status: 'coalesced', after: 10 });
    expect(await receipt('holder').result()).to.equal('first');
    expect(await rejection(coalesced.result({ timeout: 20 }))).to.have.property('code', 'RESULT_TIMEOUT');
    await keep('mine', dropped('holder', 10));
    const [own, followed] = [coalesced.result(), receipt('mine').result()];
    await keep('holder', succeeded('second', 11));
    expect(await Promise.all([own, followed])).to.deep.equal(['second', 'second']);
  });

  it('has one timeout for the whole way', async () => {
    await keep('first', dropped('second'));
    const began = performance.now();
    const error = await rejection(receipt('first').result({ timeout: 100 }));
    expect(error).to.have.deep.property('data', { id: 'first', timeout: 100, dropped: ['first'] });
    expect(performance.now() - began).to.be.within(95, 5_000);
  });

  it('tells a failure by its own class, without a stack when the worker sent none', async () => {
    const error = { type: 'ValueError', message: 'bad', code: undefined, stack: undefined };
    await keep('failed', { status: 'failed', error, fence: undefined });
    const thrown = await rejection(receipt('failed').result());
    expect(thrown).to.include({ code: 'TASK_FAILED', message: 'bad' });
    expect(thrown).to.have.property('remoteStack', undefined);
    expect(thrown).to.not.have.property('cause');
    expect(thrown).to.have.deep.property('data', { id: 'failed', type: 'ValueError', code: undefined });
  });

  it('is nothing to wait for without a backend, nor in an app that is closed', async () => {
    const without = await rejection(receipt('a', { reader: undefined }).result());
    expect(without).to.have.property('code', 'RESULTS_DISABLED');
    const waiting = rejection(receipt('never').result());
    closed.abort();
    expect(await waiting).to.have.property('code', 'CLOSED');
    expect(await rejection(receipt('a').result())).to.have.property('code', 'CLOSED');
  });
});
