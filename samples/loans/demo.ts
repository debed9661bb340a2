import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEvents } from './events-csv.js';
import type { LoanEvent } from './events.js';
import { generateEvents } from './events.js';
import type { DemoOptions } from './options.js';
import { parseOptions } from './options.js';
import { prepareParts } from './parts.js';
import { faults, table } from './report.js';
import { run } from './run.js';

const say = (text: string): unknown => process.stderr.write(`${text}\n`);

/** The events to stream, in their order; bad lines of a file are reported and left out. */
async function eventsOf(options: DemoOptions): Promise<LoanEvent[]> {
  if (options.events === undefined) return [...generateEvents(options)];
  const { events, bad } = parseEvents(await readFile(options.events, 'utf8'));
  for (const { line, reason } of bad) say(`${options.events}:${line}: skipped: ${reason}`);
  if (events.length === 0) throw new Error(`${options.events} has no events`);
  return events;
}

/** A path for the database of this run alone; the file is gone when the process is. */
function freshDatabase(): string {
  const folder = mkdtempSync(join(tmpdir(), 'loans-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'loans.db');
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const events = await eventsOf(options);
  process.env.LOANS_DB = freshDatabase();
  const parts = await prepareParts(options.servers);
  try {
    const { report, complaints } = await run(options, events, say);
    process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : table(report));
    const found = [...faults(report), ...complaints];
    found.forEach(say);
    if (found.length > 0) process.exitCode = 1;
  } finally {
    await parts.stop();
  }
}

// Ended from outside, the process still takes its workers, its servers and its files with it.
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));
main().catch((error: unknown) => {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
