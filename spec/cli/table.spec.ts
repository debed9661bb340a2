import { expect } from 'chai';
import { facts, records } from '../../lib/cli/table.js';
import { painter } from '../../lib/cli/colours.js';

const plain = painter(false, {});
const heading = ['id', 'task', 'reason'];

describe('a table of records', () => {
  it('takes the excess from the columns that may shrink, the widest first, and ends them in an ellipsis', () => {
    const rows = [['12345678', 'LoanService.recompute', 'a reason that is long enough to be cut']];
    const table = records(heading, rows, { width: 50, paint: plain, shrink: [1, 2] });
    expect(table).to.equal(
      ['ID        TASK                 REASON', '12345678  LoanService.recomp…  a reason that is l…\n'].join('\n'),
    );
    for (const line of table.split('\n')) expect(line.length).to.be.at.most(50);
  });

  it('leaves what fits as it is', () => {
    const table = records(heading, [['1', 'a', 'b']], { width: 80, paint: plain, shrink: [2] });
    expect(table).to.equal('ID  TASK  REASON\n1   a     b\n');
  });

  it('keeps control characters away from the terminal', () => {
    const evil = '\x1b[2J\nnew line';
    expect(records(heading, [[evil, 'a', 'b']], { width: 80, paint: plain, shrink: [] }))
      .to.not.contain('\x1b')
      .and.to.not.contain('\nnew');
    expect(facts([['key', evil]], plain)).to.equal('key  [2J new line\n');
  });

  it('leaves out facts that are not known', () => {
    const pairs = [
      ['id', '1'],
      ['parent', undefined],
    ] as const;
    expect(facts(pairs, plain)).to.equal('id  1\n');
  });

  it('is coloured on a terminal, unless NO_COLOR is set', () => {
    const look = { width: 80, shrink: [] };
    expect(records(heading, [], { ...look, paint: painter(true, {}) })).to.contain('\x1b[1mID');
    expect(records(heading, [], { ...look, paint: painter(true, { NO_COLOR: '1' }) })).to.match(/^ID/);
  });
});
