import { expect } from 'chai';
import type { RecordScan } from '../../lib/guard.js';
import type { PresenceRecord } from '../../lib/presence.js';
import { eventually } from '../support/eventually.js';
import { freshKey, overGuards } from '../support/guards.js';

const worker = (name: string): PresenceRecord => ({
  name,
  host: 'here',
  pid: 7,
  queues: ['tasks'],
  concurrency: 3,
  started: 1_000,
  running: 1,
  runs: [{ task: 'Loans.run', id: 'id', key: 'loan:1', since: 2_000 }],
});

overGuards((bed) => {
  const claim = async (key: string): Promise<void> => {
    bed.key = key;
    await bed.run('owner');
  };
  const names = ({ records }: RecordScan): string[] => records.map(({ key }) => key).sort();

  describe('scan', () => {
    it('finds the held keys that begin so, with their records', async () => {
      const prefix = `${freshKey()}:`;
      await claim(`${prefix}b`);
      await claim(`${prefix}a`);
      const scan = await bed.guard.scan(prefix, '', 10);
      expect(scan.more).to.equal(false);
      expect(names(scan)).to.deep.equal([`${prefix}a`, `${prefix}b`]);
      expect(scan.records[0]?.record).to.deep.equal(await bed.guard.read(scan.records[0]?.key ?? ''));
    });

    it('leaves out keys that nobody holds', async () => {
      const prefix = `${freshKey()}:`;
      bed.key = `${prefix}done`;
      await bed.guard.release(bed.key, await bed.run('owner'), { seq: 0, dead: false });
      expect(await bed.guard.read(bed.key)).to.not.equal(undefined);
      expect((await bed.guard.scan(prefix, '', 10)).records).to.deep.equal([]);
    });

    it('looks for a text after the prefix, where * stands for anything and nothing else is special', async () => {
      const prefix = `${freshKey()}[x]?:`;
      for (const key of ['Loans.run:loan:7', 'Loans.run:loan:70', 'Loans[a].run:x', 'Loansa.run:x']) {
        await claim(prefix + key);
      }
      const found = async (text: string): Promise<string[]> =>
        names(await bed.guard.scan(prefix, text, 10)).map((name) => name.slice(prefix.length));
      expect(await found('loan:7')).to.deep.equal(['Loans.run:loan:7', 'Loans.run:loan:70']);
      expect(await found('run*0')).to.deep.equal(['Loans.run:loan:70']);
      expect(await found('[a]')).to.deep.equal(['Loans[a].run:x']);
      expect(await found('Loans?run')).to.deep.equal([]);
    });

    it('stops at the limit and says that there are more', async () => {
      const prefix = `${freshKey()}:`;
      for (const key of ['a', 'b', 'c']) await claim(prefix + key);
      const scan = await bed.guard.scan(prefix, '', 2);
      expect([scan.records.length, scan.more]).to.deep.equal([2, true]);
      expect((await bed.guard.scan(prefix, '', 3)).more).to.equal(false);
    });
  });

  it('tells the time by the clock of its deadlines', async () => {
    await bed.run('owner', { lease: 60_000 });
    expect((await bed.record()).deadline - (await bed.guard.now())).to.be.within(58_000, 60_000);
  });

  describe('presence', () => {
    it('tells of those who are there, until they go or fall silent', async () => {
      const prefix = `${freshKey()}:`;
      const { presence } = bed.guard;
      await presence.put(`${prefix}a`, worker('a'), 60_000);
      await presence.put(`${prefix}b`, worker('b'), 60_000);
      await presence.put(`${prefix}c`, worker('c'), 30);
      await presence.put(`${prefix}a`, { ...worker('a'), concurrency: 4 }, 60_000);
      await presence.remove(`${prefix}b`);
      await eventually(async () =>
        expect(await presence.list(prefix)).to.deep.equal([{ ...worker('a'), concurrency: 4 }]),
      );
    });
  });
});
