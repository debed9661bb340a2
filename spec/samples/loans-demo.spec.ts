import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Report } from '../../samples/loans/report.js';
import { testAmqpUrl, testRedisUrl } from '../support/servers.js';

const demo = fileURLToPath(new URL('../../samples/loans/demo.js', import.meta.url));
const small = ['--count', '600', '--loans', '20'];

async function runDemo(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [demo, ...args], { env: { ...process.env, ...env } });
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { out, err, code: child.exitCode };
}

async function reportOf(args: string[], env?: NodeJS.ProcessEnv): Promise<Report> {
  const { out, err, code } = await runDemo([...args, '--json'], env);
  expect(code, err).to.equal(0);
  return JSON.parse(out) as Report;
}

/** What holds for a stream of 600 events over 20 loans, whoever drops duplicates. */
function expectSound(report: Report): void {
  expect(report).to.include({ events: 600, loans: 20, overlaps: 0, lost: 0, dead: 0, cut: 0 });
  expect(report.published + report.coalesced + report.discarded).to.equal(600);
  expect(report.runs).to.be.below(600);
  expect(report.seconds).to.be.above(0);
}

/** With `coalesce` a run may follow one that runs already, with `discard` only a message of its own. */
function expectFresh(report: Report): void {
  expectSound(report);
  expect(report).to.include({ strategy: 'coalesce', stale: 0, discarded: 0, discardedByWorker: 0 });
  expect(report.runs).to.be.at.least(report.published - report.coalescedByWorker);
}

function expectDiscarded(report: Report): void {
  expectSound(report);
  expect(report).to.include({ strategy: 'discard', coalesced: 0, coalescedByWorker: 0 });
  expect(report.runs).to.equal(report.published - report.discardedByWorker);
}

describe('samples/loans: npm run demo', function () {
  this.timeout(60_000);
  const onServers = () => ({ AMQP_URL: testAmqpUrl(), REDIS_URL: testRedisUrl() });

  it('coalesces at enqueue on the embedded parts, and no summary is stale', async () => {
    const report = await reportOf(small);
    expectFresh(report);
    expect(report.coalesced).to.be.above(0);
    expect(report.coalescedByWorker).to.equal(0);
  });

  it('publishes every event and lets the worker coalesce, and no summary is stale', async () => {
    const report = await reportOf([...small, '--recipe', 'worker']);
    expectFresh(report);
    expect(report).to.include({ published: 600, coalesced: 0 });
    expect(report.coalescedByWorker).to.be.above(0);
  });

  it('discards at enqueue, and nothing is lost', async () => {
    const report = await reportOf([...small, '--strategy', 'discard']);
    expectDiscarded(report);
    expect(report.discarded).to.be.above(0);
    expect(report.discardedByWorker).to.equal(0);
  });

  it('publishes every event and lets the worker discard', async () => {
    const report = await reportOf([...small, '--strategy', 'discard', '--recipe', 'worker']);
    expectDiscarded(report);
    expect(report).to.include({ published: 600, discarded: 0 });
    expect(report.discardedByWorker).to.be.above(0);
  });

  it('runs every event with the strategy off', async () => {
    const report = await reportOf([...small, '--strategy', 'off']);
    expect(report).to.include({ events: 600, published: 600, discarded: 0, runs: 600, lost: 0 });
  });

  it('coalesces at enqueue on RabbitMQ and Redis, with two task-worker processes', async () => {
    const report = await reportOf([...small, '--servers'], onServers());
    expectFresh(report);
    expect(report.coalesced).to.be.above(0);
  });

  it('lets two task-worker processes coalesce on RabbitMQ and Redis', async () => {
    const report = await reportOf([...small, '--servers', '--recipe', 'worker'], onServers());
    expectFresh(report);
    expect(report.published).to.equal(600);
    expect(report.coalescedByWorker).to.be.above(0);
  });

  it('leaves no summary stale when workers are killed in the middle of their runs', async () => {
    const report = await reportOf(['--count', '4000', '--loans', '100', '--kill', '2'], onServers());
    expect(report).to.include({ events: 4000, servers: true, killed: 2, overlaps: 0, lost: 0, dead: 0, stale: 0 });
    expect(report.published + report.coalesced).to.equal(4000);
  });

  it('prints a line a tenth and a table with a word on stale summaries when it is not asked for JSON', async () => {
    const { out, err, code } = await runDemo(['--count', '100', '--loans', '5', '--strategy', 'discard']);
    expect(code, err).to.equal(0);
    expect(err.match(/^ *\d+ % /gm)).to.have.length(10);
    expect(out)
      .to.match(/^ {2}events +100$/m)
      .and.match(/^ {2}stale summaries +\d+ of 5$/m);
    expect(out).to.include('Discard can leave a summary stale');
  });

  it('takes events from a file, and tells which of its lines it skipped', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'loans-demo-'));
    const file = join(folder, 'events.csv');
    writeFileSync(file, 'loan,month,kind,value\n7,1,payment,100\n7,one,payment,100\n8,1,rate,3.5\n');
    const { out, err, code } = await runDemo(['--events', file, '--json']);
    rmSync(folder, { recursive: true });
    expect(code, err).to.equal(0);
    expect(err).to.include('events.csv:3: skipped: month must be a whole number');
    expect(JSON.parse(out)).to.include({ events: 2, loans: 2 });
  });

  it('refuses what it does not know, with a hint', async () => {
    const { out, err, code } = await runDemo(['--sevrers']);
    expect({ out, code }).to.deep.equal({ out: '', code: 64 });
    expect(err).to.include("unknown option '--sevrers'").and.include('Did you mean --servers?');
    for (const args of [
      ['--recipe', 'both'],
      ['--count', '0'],
      ['--kill', '0'],
      ['--events', 'x.csv', '--count', '5'],
      ['more'],
    ]) {
      expect((await runDemo(args)).code, args.join(' ')).to.equal(64);
    }
  });
});
