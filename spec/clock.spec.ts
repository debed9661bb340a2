import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { onAbort, pause, systemClock } from '../lib/clock.js';

describe('a signal that many wait on', () => {
  it('has one listener, and wakes them all', async () => {
    const stop = new AbortController();
    const waiting = Array.from({ length: 20 }, () => pause(systemClock, 60_000, stop.signal));
    expect(getEventListeners(stop.signal, 'abort')).to.have.length(1);
    stop.abort();
    await Promise.all(waiting);
  });

  it('has one listener also when they come one after the other', async () => {
    const { signal } = new AbortController();
    for (let i = 0; i < 20; i++) await pause(systemClock, 0, signal);
    expect(getEventListeners(signal, 'abort')).to.have.length(1);
  });

  it('tells nobody who does not wait any longer', () => {
    const stop = new AbortController();
    const told: string[] = [];
    const forget = onAbort(stop.signal, () => told.push('forgotten'));
    onAbort(stop.signal, () => told.push('waiting'));
    forget();
    stop.abort();
    expect(told).to.deep.equal(['waiting']);
  });

  it('that has aborted lets nobody wait', async () => {
    await pause(systemClock, 60_000, AbortSignal.abort());
  });
});
