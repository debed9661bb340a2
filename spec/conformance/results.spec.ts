import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { pause, systemClock } from '../../lib/clock.js';
import { ClosedError } from '../../lib/errors.js';
import type { ResultBackend, ResultWish, StoredResult } from '../../lib/result-backend.js';
import { RESULT_BACKENDS, type ResultBench } from '../support/result-backends.js';
import { rejection } from '../support/transports.js';

const TASK = 'loans.recompute';
const succeeded = (value: unknown, fence?: number): StoredResult => ({ status: 'succeeded', value, fence });
const dropped = (holder: string, after?: number): StoredResult => ({ status: 'dropped', holder, after });

const systemPause = (ms: number): Promise<void> => pause(systemClock, ms);

/** Waits `ms` at most. */
function wait(backend: ResultBackend, wish: Partial<ResultWish> & { id: string }, ms = 5_000) {
  return backend.wait({ after: undefined, ...wish }, AbortSignal.timeout(ms));
}

for (const [name, open] of Object.entries(RESULT_BACKENDS)) {
  describe(`results: ${name}`, () => {
    let bench: ResultBench;
    let id = '';
    before(async () => {
      bench = open();
      await Promise.all([bench.writer.connect(5_000), bench.reader.connect(5_000)]);
    });
    after(() => Promise.all([bench.writer.close(), bench.reader.close()]));
    beforeEach(() => (id = randomUUID()));

    it('gives back what was kept, through JSON, as often as it is asked', async () => {
      for (const value of [{ total: 12.5, rates: [1, null, 'é\u{1F600}'] }, 0, '', false, null, []]) {
        await bench.writer.store(id, TASK, succeeded(value, 7));
        for (let i = 0; i < 2; i++) expect(await wait(bench.reader, { id })).to.deep.equal(succeeded(value, 7));
      }
      await bench.writer.store(id, TASK, succeeded(undefined));
      expect(await wait(bench.reader, { id })).to.deep.equal(succeeded(null));
    });

    it('gives back a failure with its class, text, code and stack', async () => {
      const error = { type: 'RateError', message: 'no rate, none', code: 'E_RATE', stack: 'RateError\n    at f.ts:1' };
      const bare = { type: 'Error', message: '', code: undefined, stack: undefined };
      for (const each of [error, bare]) {
        const failed: StoredResult = { status: 'failed', error: each, fence: 9 };
        await bench.writer.store(id, TASK, failed);
        expect(await wait(bench.reader, { id })).to.deep.equal(failed);
      }
    });

    it('wakes everybody who waits, as soon as there is a result', async () => {
      const early = [wait(bench.reader, { id }), wait(bench.reader, { id }), wait(bench.writer, { id })];
      await systemPause(50);
      const began = performance.now();
      await bench.writer.store(id, TASK, succeeded('done'));
      expect(await Promise.all(early)).to.deep.equal(Array(3).fill(succeeded('done')));
      expect(performance.now() - began).to.be.below(1_000);
    });

    it('loses no wake-up, whenever the result comes', async () => {
      const ids = Array.from({ length: 200 }, () => randomUUID());
      const waits = ids.map(async (each, i) => {
        await systemPause(i % 7);
        return wait(bench.reader, { id: each });
      });
      const stores = ids.map(async (each, i) => {
        await systemPause(i % 5);
        await bench.writer.store(each, TASK, succeeded(i));
      });
      await Promise.all(stores);
      expect(await Promise.all(waits)).to.deep.equal(ids.map((_, i) => succeeded(i)));
    });

    it('gives undefined once the signal has aborted, and one who stops waiting takes nothing from the others', async () => {
      const other = wait(bench.reader, { id });
      expect(await wait(bench.reader, { id }, 20)).to.equal(undefined);
      expect(await bench.reader.wait({ id: randomUUID(), after: undefined }, AbortSignal.abort())).to.equal(undefined);
      await bench.writer.store(id, TASK, succeeded(1));
      expect(await other).to.deep.equal(succeeded(1));
    });

    it('waits for a run with a larger fence, if it is asked to', async () => {
      await bench.writer.store(id, TASK, succeeded('first', 100));
      expect(await wait(bench.reader, { id, after: 99 })).to.deep.equal(succeeded('first', 100));
      expect(await wait(bench.reader, { id, after: 100 }, 30)).to.equal(undefined);
      const later = wait(bench.reader, { id, after: 100 });
      await bench.writer.store(id, TASK, succeeded('again', 100));
      await bench.writer.store(id, TASK, succeeded('second', 101));
      expect(await later).to.deep.equal(succeeded('second', 101));
      await bench.writer.store(id, TASK, succeeded('no fence'));
      expect(await wait(bench.reader, { id, after: 500 })).to.deep.equal(succeeded('no fence'));
    });

    it('points from a dropped message to its holder, and never in the place of a run', async () => {
      await bench.writer.store(id, TASK, dropped('holder', 5));
      expect(await wait(bench.reader, { id })).to.deep.equal(dropped('holder', 5));
      await bench.writer.store(id, TASK, succeeded('ran', 3));
      await bench.writer.store(id, TASK, dropped('other'));
      expect(await wait(bench.reader, { id })).to.deep.equal(succeeded('ran', 3));
    });

    it('ends every wait when it is closed, and takes and gives nothing more', async () => {
      const { writer, reader } = open();
      await Promise.all([writer.connect(5_000), reader.connect(5_000)]);
      const waiting = rejection(wait(reader, { id }));
      const other = wait(writer, { id }, 200);
      await systemPause(50);
      await reader.close();
      expect(await waiting).to.be.instanceOf(ClosedError);
      expect(await rejection(wait(reader, { id }))).to.be.instanceOf(ClosedError);
      expect(await rejection(reader.store(id, TASK, succeeded(1)))).to.be.instanceOf(ClosedError);
      expect(await rejection(reader.connect(100))).to.be.instanceOf(ClosedError);
      expect(await other).to.equal(undefined);
      await reader.close();
      await writer.close();
    });
  });
}
