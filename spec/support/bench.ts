import { expect } from 'chai';
import { ROOT, runNode, type Ended } from './doc-examples.js';
import { testAmqpUrl, testRedisUrl } from './servers.js';

/** A row of what `--json -` prints. */
export interface MeasuredRow {
  readonly name: string;
  readonly series: Readonly<Record<string, { readonly values: readonly number[] }>>;
  readonly checks: readonly object[];
}

/** Small: that the rows work and their counts are right, not how fast they are. */
const SMALL = ['--operations', '40', '--rounds', '1', '--sides', 'ours,floor', '--json', '-'];

/** Runs the benchmark as `npm run bench` does, on the servers of the specs. */
export const bench = (...args: string[]): Promise<Ended> =>
  runNode(['bench/main.js', ...args], ROOT, { AMQP_URL: testAmqpUrl(), REDIS_URL: testRedisUrl() });

/** The names of the rows that these options ask for. */
export const listed = async (...args: string[]): Promise<string[]> =>
  (await bench('--rows', ...args)).output.trim().split('\n');

/** Plays the rows that these options ask for, each of which asserts its counts, and gives their figures. */
export async function played(...args: string[]): Promise<readonly MeasuredRow[]> {
  const { code, output } = await bench(...SMALL, ...args);
  expect(code, output).to.equal(0);
  const json = output.slice(output.indexOf('{\n'), output.lastIndexOf('}\n') + 1);
  const { rows } = JSON.parse(json) as { rows: readonly MeasuredRow[] };
  expect(rows.map(({ name }) => name)).to.deep.equal(await listed(...args));
  for (const { name, series } of rows) {
    const figures = Object.values(series).flatMap(({ values }) => values);
    expect(figures, name).to.have.length.above(0);
    expect(Math.min(...figures), name).to.be.above(0);
  }
  return rows;
}
