import { expect } from 'chai';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../support/doc-examples.js';

interface Check {
  readonly figure: number;
  readonly ok?: boolean;
}

interface Result {
  readonly series: Record<string, { median: number; least: number; greatest: number }>;
  readonly checks: readonly Check[];
}

/** What of bench/ is used here. */
interface Report {
  median(numbers: readonly number[]): number;
  resultOf(row: object, samples: Map<string, readonly { value: number }[]>): Result;
  bar(share: number): string;
  table(measured: object, options: { colour: boolean }): string;
  markdown(measured: object): string;
  chart(measured: object): string;
}

const load = async (...names: string[]): Promise<Report> => {
  const modules = names.map((name) => import(pathToFileURL(join(ROOT, 'bench', name)).href) as Promise<object>);
  return Object.assign({}, ...(await Promise.all(modules))) as Report;
};

const samples = (figures: Record<string, number[]>): Map<string, { value: number }[]> =>
  new Map(Object.entries(figures).map(([label, values]) => [label, values.map((value) => ({ value }))]));

const ABOUT = {
  date: '2026-01-02',
  cpu: 'a <small> one',
  cores: 2,
  versions: { Node: '20' },
  operations: 20_000,
  rounds: 3,
};

describe('the report of the benchmark', () => {
  let report: Report;
  before(async () => {
    const files = ['table', 'markdown', 'chart'].map((name) => `report/${name}.js`);
    report = await load('statistics.js', ...files);
  });

  const row = {
    name: 'enqueue, plain',
    unit: '/s',
    checks: [{ against: 'floor', least: 0.85 }, { against: 'Celery' }],
  };
  const figures = { solotask: [50, 90, 10], floor: [70, 100, 12] };
  const measured = (): object => ({ about: ABOUT, rows: [report.resultOf(row, samples(figures))] });

  it('takes medians', () => {
    expect(report.median([3, 1, 10])).to.equal(3);
    expect(report.median([4, 1, 10, 2])).to.equal(3);
  });

  it('compares round by round: a slow moment hits both sides', () => {
    const { series, checks } = report.resultOf(row, samples(figures));
    expect(series['solotask']).to.include({ median: 50, least: 10, greatest: 90 });
    expect(checks).to.have.length(1);
    // The median of 50/70, 90/100 and 10/12; the ratio of the medians is the first one.
    expect(checks[0]?.figure).to.be.closeTo(10 / 12, 0.001);
    expect(checks[0]).to.have.property('ok', false);
  });

  it('judges a difference, and a figure by itself', () => {
    const own = [
      { of: 'check', over: 'node', most: 250 },
      { of: 'check', most: 300 },
      { of: 'check', over: 'node' },
    ];
    const { checks } = report.resultOf({ ...row, checks: own }, samples({ check: [310, 320], node: [50, 60] }));
    expect(checks.map(({ figure, ok }) => ({ figure, ok }))).to.deep.equal([
      { figure: 260, ok: false },
      { figure: 315, ok: false },
      { figure: 260, ok: undefined },
    ]);
  });

  it('draws bars in eighths of a character', () => {
    expect(report.bar(1)).to.equal('█'.repeat(32));
    expect(report.bar(1 / 64)).to.equal('▌');
    expect(report.bar(0)).to.equal('▏');
  });

  it('tells a ratio below its bar from one that is not', () => {
    expect(report.table(measured(), { colour: false })).to.contain('0.83 × floor   bar ≥ 0.85   BELOW THE BAR');
    expect(report.markdown(measured())).to.contain('0.83 × floor (bar ≥ 0.85, missed)');
  });

  it('draws the same chart from the same results, for light and for dark, with nothing unescaped', () => {
    const svg = report.chart(measured());
    expect(svg).to.equal(report.chart(measured()));
    expect(svg).to.contain('prefers-color-scheme: dark').and.contain('a &lt;small> one');
    expect(svg.match(/<rect class="(ours|floor)"/g)).to.have.length(2);
    expect(svg).to.match(/^<svg [^]*<\/svg>\n$/);
  });
});
