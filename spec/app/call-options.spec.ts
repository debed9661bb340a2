import { expect } from 'chai';
import type { CallOptions } from 'solotask';
import { batchSettings, callSettings } from '../../lib/app/call-options.js';
import { sendSettings } from '../../lib/app/send-options.js';
import { Registry } from '../../lib/declarations/registry.js';
import { thrownBy } from '../support/declare.js';

const NOW = Date.parse('2026-01-31T08:00:00Z');
const settings = (options: object) => callSettings(options, NOW);

describe('the options of a call', () => {
  it('are moments in the end, whichever way they are written', () => {
    const inAnHour = NOW + 3_600_000;
    const ways = [{ delay: '1h' }, { delay: 3_600_000 }, { at: new Date(inAnHour) }, { at: inAnHour }];
    for (const way of [...ways, { at: '2026-01-31T09:00:00Z' }, { at: '2026-01-31T10:00:00.000+01:00' }]) {
      expect(settings(way).due).to.equal(inAnHour);
    }
    for (const expires of ['1h', 3_600_000, new Date(inAnHour), '2026-01-31T09:00:00Z']) {
      expect(settings({ expires }).expires).to.equal(inAnHour);
    }
    expect(settings({ delay: 0 }).due).to.equal(undefined);
    expect(settings({ at: new Date(NOW - 5_000) }).due).to.equal(NOW - 5_000);
    expect(callSettings(undefined, NOW)).to.deep.equal({});
  });

  const wrong: [keyof CallOptions | 'dealy', unknown, RegExp][] = [
    ['delay', 'soon', /delay of an enqueue is 'soon'.*a duration/],
    ['delay', -1, /a duration/],
    ['delay', Number.MAX_SAFE_INTEGER, /a moment that a Date can hold/],
    ['at', '5m', /at of an enqueue is '5m'.*ISO 8601/],
    ['at', '2026-01-31T09:00:00', /with an offset/],
    ['at', '2026-13-31T09:00:00Z', /ISO 8601/],
    ['at', new Date(Number.NaN), /a Date/],
    ['at', NOW / 1000, /epoch ms/],
    ['at', 60_000, /epoch ms/],
    ['at', Number.NaN, /epoch ms/],
    ['at', null, /a Date/],
    ['expires', 0, /at least 1 ms/],
    ['expires', 'never', /a duration/],
    ['expires', new Date(Number.NaN), /a Date/],
    ['queue', 'amq.topic', /'amq\.'/],
    ['queue', 'q'.repeat(241), /240 bytes/],
    ['queue', '', /not empty/],
    ['priority', 10, /from 0 to 9/],
    ['priority', '5', /from 0 to 9/],
    ['afterCommit', 1, /afterCommit of an enqueue is 1.*true or false/],
    ['id', '', /id of an enqueue is ''.*not empty/],
    ['id', 'ü'.repeat(128), /at most 255 bytes \(this one has 256\)/],
    ['id', 'a\nb', /control characters/],
    ['id', 42, /a name/],
    ['headers', ['a'], /headers of an enqueue.*an object/],
    ['headers', 'a=b', /an object/],
    ['headers', { 'x-trace': 'a' }, /'x-trace' must be a name of letters, digits and _/],
    ['headers', { lock_key: 'a' }, /'lock_key' is part of the wire format/],
    ['headers', { args: 'a' }, /part of the wire format/],
    ['headers', { CC: 'other' }, /part of the wire format/],
    ['headers', { trace: 'ü'.repeat(5_000) }, /1\d{4} bytes.*8192.*arguments/],
    ['dealy', 5, /no option 'dealy'; did you mean 'delay'/],
  ];
  for (const [option, value, text] of wrong) {
    it(`are refused when wrong: ${option} ${String(value).slice(0, 30)} (${text.source})`, () => {
      const thrown = thrownBy(() => settings({ [option]: value }));
      expect(thrown).to.have.property('code', 'CONFIG');
      expect(thrown).to.have.property('message').that.matches(text);
    });
  }

  it('are refused where they contradict each other', () => {
    expect(thrownBy(() => settings({ delay: 1, at: new Date() })))
      .to.have.property('message')
      .that.contains('both');
    const never = thrownBy(() => settings({ delay: '1h', expires: '10m' }));
    expect(never).to.have.property('message').that.contains('before it may run');
    const circular = thrownBy(() => settings({ headers: { trace: {} } }));
    expect(circular).to.have.property('code', 'PAYLOAD');
  });

  it('refuse one id or one key for a batch, and what is no list', () => {
    for (const option of ['id', 'key']) {
      const thrown = thrownBy(() => batchSettings({ [option]: 'x' }, [[1]], NOW));
      expect(thrown).to.have.property('message').that.contains(`takes no ${option}`);
    }
    expect(thrownBy(() => batchSettings(undefined, 5, NOW)))
      .to.have.property('message')
      .that.contains('[[1], [2]]');
  });

  it('want a queue for a name that no task of the app has', () => {
    const send = (options: object) => thrownBy(() => sendSettings(options, new Registry([]), 'loans.recompute', NOW));
    expect(send({}))
      .to.have.property('message')
      .that.matches(/app\.send\('loans\.recompute'\) needs a queue/);
    expect(send({ queue: 'celery', args: 5 }))
      .to.have.property('message')
      .that.matches(/args .* an array/);
    expect(send({ queue: 'celery', kwargs: [] }))
      .to.have.property('message')
      .that.matches(/kwargs .* an object/);
    expect(send({ queue: 'celery', key: 'x' }))
      .to.have.property('message')
      .that.contains("no option 'key'");
  });
});
