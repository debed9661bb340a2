import { expect } from 'chai';
import { ROOT, runNode, type Ended } from '../support/doc-examples.js';
import { testAmqpUrl, testRedisUrl } from '../support/servers.js';

/** What `--json -` prints. */
interface Measured {
  readonly rows: readonly { name: string; series: Record<string, { values: number[] }>; checks: object[] }[];
}

/** Small: that all rows work and their counts are right, not how fast they are. */
const SMALL = ['--operations', '40', '--rounds', '1', '--sides', 'ours,floor'];

const bench = (...args: string[]): Promise<Ended> =>
  runNode(['--no-warnings', 'bench/main.js', ...args], ROOT, { AMQP_URL: testAmqpUrl(), REDIS_URL: testRedisUrl() });

/** The rows that it listed. */
const listed = async (...args: string[]): Promise<string[]> =>
  (await bench('--rows', ...args)).output.trim().split('\n');

describe('npm run bench', () => {
  it('plays all rows, of which each asserts its counts', async () => {
    const { code, output } = await bench(...SMALL, '--json', '-', '--chart', '/dev/null');
    expect(code, output).to.equal(0);
    const { rows } = JSON.parse(output.slice(output.indexOf('{\n'), output.lastIndexOf('}\n') + 1)) as Measured;
    expect(rows.map(({ name }) => name)).to.deep.equal(await listed());
    for (const { name, series } of rows) {
      const figures = Object.values(series).flatMap(({ values }) => values);
      expect(figures, name).to.have.length.above(0);
      expect(Math.min(...figures), name).to.be.above(0);
    }
    const [plain] = rows;
    expect(plain).to.have.property('series').that.has.all.keys('solotask', 'floor');
    expect(plain?.checks).to.have.length(1);
  }).timeout(60_000);

  it('plays five rows in its short form, and those that are asked for', async () => {
    expect(await listed('--quick')).to.have.length(5);
    expect(await listed('--only', 'idle')).to.deep.equal(['latency, idle, p50', 'latency, idle, p99']);
  });

  it('says what it does not know', async () => {
    const none = await bench('--only', 'lunch');
    expect(none).to.have.property('code', 1);
    expect(none.output).to.contain("no row has 'lunch' in its name; the rows: enqueue, plain;");
    expect((await bench('--sides', 'ours,sidekiq')).output).to.contain("not 'sidekiq'");
    expect((await bench('--rounds', '0')).output).to.contain("--rounds takes a whole number above 0, not '0'");
  });
});
