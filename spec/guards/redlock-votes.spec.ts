import { expect } from 'chai';
import {
  claimAnswer,
  conclude,
  decide,
  holdAnswer,
  readVote,
  unword,
  word,
  type Vote,
} from '../../lib/guards/redlock-votes.js';

const OK: Vote = { word: 'ok' };
const read = (text: string): Vote => readVote(new Error(text));
const held = (text: string): Vote => read(`UQHELD ${text}`);

describe('votes of Redis nodes', () => {
  it('read a refusal with its holder, whose id may be any text', () => {
    expect(held(`r 12 345 7 s 1 ${word('a b/ü%')}`)).to.deep.equal({
      outcome: 'held',
      holder: { owner: 'a b/ü%', phase: 'running', fence: 12, left: 345, seq: 7 },
      own: 'same-copy',
      offered: true,
    });
    expect(unword(word(''))).to.equal('');
  });

  it('tell a node that did nothing from one that may have done it', () => {
    const outcome = (text: string) => claimAnswer(read(text)).outcome;
    for (const text of [
      'OOM command not allowed',
      'LOADING Redis is loading',
      'READONLY You can’t write against a read only replica.',
      "Stream isn't writeable and enableOfflineQueue options is false",
    ])
      expect(outcome(text), text).to.equal('unavailable');
    for (const text of [
      'Command timed out',
      'Connection is closed.',
      'ERR user_script:3: oops',
      'UQHELD q 1 1 1 n 0 %zz',
    ])
      expect(outcome(text), text).to.equal('unknown');
  });

  it('are decided by more than half with the same refusal, phase, fence and owner', () => {
    const a = held('q 5 100 5 n 0 a');
    expect(decide([a], 1)).to.deep.equal(a);
    expect(decide([a], 3)).to.equal(undefined);
    for (const other of ['r 5 100 5 n 0 a', 'q 6 100 5 n 0 a', 'q 5 100 5 n 0 b', 'q 5 100 5 s 0 a'])
      expect(decide([a, held(other)], 3), other).to.equal(undefined);
    expect(decide([a, OK, a], 3)).to.deep.equal(a);
  });

  // done: one node forgot its last run, another missed the next one's release.
  it('that call a message done agree, though they remember different runs, and know its own when one does', () => {
    const [a, b, own] = [read('UQDONE 0 0 a'), read('UQDONE 0 0 b'), read('UQDONE 1 0 c')];
    expect(decide([a, OK, b], 3)).to.deep.equal(a);
    expect(decide([a, OK, own], 3)).to.deep.equal(own);
    expect(decide([own, OK, a], 3)).to.deep.equal(own);
    expect(decide([a, OK, held('r 5 100 5 n 0 a')], 3)).to.equal(undefined);
  });

  it('that agree keep of what may differ what promises less', () => {
    expect(decide([held('q 5 100 9 n 1 a'), held('q 5 90 8 n 0 a')], 3)).to.deep.equal(held('q 5 90 8 n 0 a'));
    expect(decide([read('UQFENCE 7'), read('UQFENCE 9')], 3)).to.deep.equal(read('UQFENCE 9'));
    expect(decide([read('UQCLOCK 7'), read('UQCLOCK 9')], 3)).to.deep.equal(read('UQCLOCK 9'));
  });

  it('that are mixed decide nothing', () => {
    const answer = claimAnswer(conclude([OK, held('q 5 100 5 n 0 a'), read('UQFENCE 9')], 3));
    expect(answer.outcome).to.equal('unknown');
    expect(holdAnswer(conclude([OK, read('UQLOST -'), read('Command timed out')], 3))).to.equal('unknown');
  });

  it('call the locks unavailable only when no node can have done anything', () => {
    const down = read('LOADING');
    expect(claimAnswer(conclude([down, down, down], 3)).outcome).to.equal('unavailable');
    expect(claimAnswer(conclude([down, down, OK], 3)).outcome).to.equal('unknown');
    expect(claimAnswer(conclude([down, down, read('Command timed out')], 3)).outcome).to.equal('unknown');
  });

  it('carry no copy of the command in their causes', () => {
    const error = Object.assign(new Error('Command timed out'), { command: { args: ['secret'] } });
    const answer = claimAnswer(readVote(error));
    expect(JSON.stringify(answer)).not.to.include('secret');
    expect(answer).to.have.nested.property('cause.message', 'Command timed out');
    expect(answer).not.to.have.nested.property('cause.command');
  });
});
