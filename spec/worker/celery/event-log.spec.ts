import { expect } from 'chai';
import { systemClock } from '../../../lib/clock.js';
import { EventLog } from '../../../lib/worker/celery/event-log.js';
import { eventually } from '../../support/eventually.js';

describe("the log of a worker's events for Celery", () => {
  function make(): { log: EventLog; sent: number[][]; link: { up: boolean } } {
    const sent: number[][] = [];
    const link = { up: true };
    const send = (events: readonly object[]): void => void sent.push(events.map((event) => (event as { n: number }).n));
    return { log: new EventLog({ clock: systemClock, writable: () => link.up, send }), sent, link };
  }

  it('sends what comes together in one message, a hundred at most', async () => {
    const { log, sent } = make();
    for (let n = 0; n < 250; n++) log.add({ n });
    expect(sent.map(({ length }) => length)).to.deep.equal([100, 100]);
    await eventually(() => expect(sent.map(({ length }) => length)).to.deep.equal([100, 100, 50]));
    expect(sent.flat()).to.deep.equal(Array.from({ length: 250 }, (_, n) => n));
  });

  it('keeps the last thousand while nothing can be sent, whatever comes', () => {
    const { log, sent, link } = make();
    link.up = false;
    for (let n = 0; n < 50_000; n++) log.add({ n });
    log.flush();
    expect(sent).to.deep.equal([]);
    link.up = true;
    log.flush();
    expect(sent.flat()).to.have.length(1_000);
    expect(sent.flat().at(0)).to.equal(49_000);
    expect(sent.flat().at(-1)).to.equal(49_999);
  });

  it('sends what it can as it ends, and nothing afterwards', () => {
    const { log, sent } = make();
    log.add({ n: 1 });
    log.end();
    log.add({ n: 2 });
    log.flush();
    expect(sent).to.deep.equal([[1]]);
  });
});
