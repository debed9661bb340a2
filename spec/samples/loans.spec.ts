import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { instalment, internalRate, summarise } from '../../samples/loans/amortisation.js';
import { audit, unsettled } from '../../samples/loans/audit.js';
import { parseEvents } from '../../samples/loans/events-csv.js';
import { generateEvents, termsOf } from '../../samples/loans/events.js';
import { summaryServer } from '../../samples/loans/http.js';
import { LoanStore } from '../../samples/loans/loan-store.js';
import { faults } from '../../samples/loans/report.js';
import type { Report } from '../../samples/loans/report.js';

describe('samples/loans', () => {
  describe('the amortisation', () => {
    it('knows the textbook loan: 100,000 at 6 % over 30 years costs 599.55 a month', () => {
      expect(instalment(100_000, 6, 360)).to.equal(599.55);
      const summary = summarise({ principal: 100_000, rate: 6, months: 360 }, []);
      expect(summary).to.include({ balance: 100_000, instalment: 599.55 });
      expect(summary.remainingInterest).to.be.closeTo(115_838, 2);
    });

    it('yields the effective rate of the nominal one when everything is paid as planned', () => {
      const { yield: found } = summarise({ principal: 100_000, rate: 6, months: 360 }, []);
      expect(found).to.be.closeTo(100 * (1.005 ** 12 - 1), 0.001);
    });

    it('takes a payment off the balance after the interest of the months before it', () => {
      const payment = { loanId: 1, month: 1, kind: 'payment', value: 600 } as const;
      expect(summarise({ principal: 100_000, rate: 6, months: 360 }, [payment]).balance).to.equal(99_900);
    });

    it('takes a rate and a drawdown into account from their month on', () => {
      const terms = { principal: 1000, rate: 12, months: 12 };
      const rate = { loanId: 1, month: 1, kind: 'rate', value: 24 } as const;
      const drawdown = { loanId: 1, month: 2, kind: 'drawdown', value: 100 } as const;
      expect(summarise(terms, [rate, drawdown]).balance).to.equal(1130.2);
    });

    it('divides evenly without interest, and owes nothing more once everything is paid', () => {
      expect(instalment(1200, 0, 12)).to.equal(100);
      const paid = { loanId: 1, month: 0, kind: 'payment', value: 5000 } as const;
      const summary = summarise({ principal: 1200, rate: 5, months: 12 }, [paid]);
      expect(summary).to.include({ balance: 0, instalment: 0, remainingInterest: 0 });
    });

    it('finds internal rates, and says so when there is none', () => {
      expect(internalRate([-100, 110])).to.be.closeTo(0.1, 1e-9);
      expect(internalRate([-100, 60, 60])).to.be.closeTo(0.130662, 1e-6);
      expect(internalRate([-100, 0, 0, 40])).to.be.closeTo(0.4 ** (1 / 3) - 1, 1e-9);
      expect(internalRate([-100, -10])).to.equal(undefined);
    });
  });

  describe('the generator', () => {
    it('draws the same events and terms from the same seed, and others from another', () => {
      const stream = (seed: number) => [...generateEvents({ count: 500, loans: 20, seed })];
      expect(stream(7)).to.deep.equal(stream(7));
      expect(stream(7)).not.to.deep.equal(stream(8));
      expect(termsOf(3, 7)).to.deep.equal(termsOf(3, 7)).and.not.to.deep.equal(termsOf(3, 8));
    });

    it('keeps to the loans it was given, uses them all, and never goes back in time', () => {
      const last = new Map<number, number>();
      for (const { loanId, month } of generateEvents({ count: 2000, loans: 20, seed: 1 })) {
        expect(loanId).to.be.within(1, 20);
        expect(month).to.be.at.least(last.get(loanId) ?? 0);
        last.set(loanId, month);
      }
      expect(last.size).to.equal(20);
    });
  });

  describe('the CSV reader', () => {
    it('reads the documented columns', () => {
      const { events, bad } = parseEvents('loan,month,kind,value\n17,3,payment,512.40\r\n\n17,6,rate,4.25\n');
      expect(bad).to.deep.equal([]);
      expect(events).to.deep.equal([
        { loanId: 17, month: 3, kind: 'payment', value: 512.4 },
        { loanId: 17, month: 6, kind: 'rate', value: 4.25 },
      ]);
    });

    it('reports bad lines by their number, and goes on with the next', () => {
      const lines = ['x,1,payment,1', '1,1.5,payment,1', '1,1,gift,1', '1,1,payment,', '1,1,payment', '1,1,rate,101'];
      const { events, bad } = parseEvents(['loan,month,kind,value', ...lines, '1,1,rate,5'].join('\n'));
      expect(events).to.have.length(1);
      expect(bad.map(({ line }) => line)).to.deep.equal([2, 3, 4, 5, 6, 7]);
      expect(bad.map(({ reason }) => reason.split(' ')[0])).to.deep.equal(
        ['loan', 'month', 'kind', 'value', '4', 'value'], //
      );
    });

    it('refuses a file with another header', () => {
      expect(() => parseEvents('id,amount\n1,2')).to.throw('line 1 must be the header "loan,month,kind,value"');
    });
  });

  describe('the books', () => {
    const folder = mkdtempSync(join(tmpdir(), 'loans-spec-'));
    let store: LoanStore;
    let files = 0;

    beforeEach(() => {
      store = new LoanStore(join(folder, `${files++}.db`));
      for (const id of [1, 2]) store.open(id, { principal: 1000, rate: 5, months: 12 });
      for (const loanId of [1, 2]) store.record({ loanId, month: 1, kind: 'payment', value: 10 });
    });
    afterEach(() => store.close());
    after(() => rmSync(folder, { recursive: true }));

    const begin = (loanId: number, id: string, fence = 0) => {
      const run = store.begin(loanId, { id, fence });
      if (run === undefined) throw new Error('no such loan');
      return run;
    };
    const summary = () => {
      const { terms, events } = store.find(1) ?? {};
      if (terms === undefined || events === undefined) throw new Error('no such loan');
      return summarise(terms, events);
    };

    it('count two runs of one loan as an overlap, and runs one after the other or of two loans as none', () => {
      const first = begin(1, 'a');
      const other = begin(2, 'b');
      store.finish(first, summary());
      store.finish(begin(1, 'c'), summary());
      expect(audit(store)).to.include({ runs: 3, overlaps: 0 });
      const [fourth, fifth] = [begin(1, 'd'), begin(1, 'e')];
      store.finish(fourth, summary());
      store.fail(fifth);
      store.fail(other);
      expect(audit(store)).to.include({ runs: 5, overlaps: 1 });
    });

    const published = (...tasks: string[]) => tasks.map((task) => ({ task, loanId: 1, version: 1, coalesced: false }));

    it('count a run without an end as cut short', () => {
      store.finish(begin(1, 'a'), summary());
      begin(1, 'killed');
      expect(audit(store)).to.include({ runs: 2, cut: 1, overlaps: 0 });
    });

    it('count a published task as lost unless it ran well, was discarded by the worker, or is a dead letter', () => {
      store.finish(begin(1, 'ran'), summary());
      store.fail(begin(1, 'failed'));
      begin(1, 'killed');
      store.drop('discarded', 'discarded', true);
      store.drop('dead', 'dead', false);
      expect(unsettled(store, published('ran', 'discarded', 'dead'))).to.equal(0);
      expect(unsettled(store, published('ran', 'failed', 'killed', 'never'))).to.equal(3);
    });

    it('count a coalesced event as lost until a run that came to a good end has read it, whoever coalesced', () => {
      const run = begin(1, 'holder');
      const version = store.record({ loanId: 1, month: 2, kind: 'payment', value: 10 });
      store.drop('dropped', 'coalesced', true);
      const promised = [
        { task: 'holder', loanId: 1, version, coalesced: true },
        { task: 'dropped', loanId: 1, version, coalesced: false },
      ];
      store.finish(run, summary());
      expect(unsettled(store, promised)).to.equal(2);
      const again = begin(1, 'holder');
      expect(unsettled(store, promised)).to.equal(2);
      store.finish(again, summary());
      expect(unsettled(store, promised)).to.equal(0);
    });

    it('call a summary stale that is missing or misses an event', () => {
      expect(audit(store)).to.include({ loans: 2, stale: 2 });
      store.finish(begin(1, 'a'), summary());
      expect(audit(store).stale).to.equal(1);
      store.record({ loanId: 1, month: 2, kind: 'payment', value: 10 });
      expect(audit(store).stale).to.equal(2);
    });

    it('keep the summary of the larger fence when a run that lost its lock writes late', () => {
      const zombie = begin(1, 'a', 1);
      store.record({ loanId: 1, month: 2, kind: 'payment', value: 10 });
      store.finish(begin(1, 'b', 2), summary());
      store.finish(zombie, { ...summary(), balance: -1 });
      expect(audit(store).stale).to.equal(1);
      expect(JSON.parse(store.summary(1) ?? '')).to.deep.equal(summary());
    });

    it('are served over HTTP as the table has them', async () => {
      store.finish(begin(1, 'a'), summary());
      const server = summaryServer(store).listen(0, '127.0.0.1');
      await once(server, 'listening');
      const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}/loans`;
      const found = await fetch(`${base}/1/summary`);
      expect(await found.json()).to.deep.equal(summary());
      for (const path of ['2/summary', '99/summary', 'x/summary', '1']) {
        expect((await fetch(`${base}/${path}`)).status, path).to.equal(404);
      }
      server.close();
      server.closeAllConnections();
    });
  });

  describe('the verdict', () => {
    const sound = {
      strategy: 'coalesce',
      events: 10,
      published: 3,
      coalesced: 5,
      discarded: 2,
      lost: 0,
      overlaps: 0,
      stale: 0,
      kill: 2,
      killed: 2,
    } as Report;

    it('finds no fault when every event was published, coalesced or discarded, and nothing is lost, stale or overlaps', () => {
      expect(faults(sound)).to.deep.equal([]);
    });

    it('names what does not add up', () => {
      expect(faults({ ...sound, discarded: 6 })).to.have.length(1);
      for (const wrong of [{ coalesced: 4 }, { lost: 1 }, { overlaps: 1 }, { stale: 1 }, { killed: 1 }]) {
        expect(faults({ ...sound, ...wrong }), JSON.stringify(wrong)).to.have.length(1);
      }
    });

    it('lets summaries be stale where discard was asked for', () => {
      expect(faults({ ...sound, strategy: 'discard', stale: 1 })).to.deep.equal([]);
    });

    it('lets runs overlap where nothing keeps them apart', () => {
      expect(faults({ ...sound, strategy: 'off', overlaps: 1, stale: 1 })).to.deep.equal([]);
    });
  });
});
