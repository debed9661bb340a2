// The benchmark: `npm run bench`. See README.md in this directory.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startServers } from '../tools/servers.js';
import { Bench } from './bench.js';
import { chosenRows, HELP, readOptions } from './options.js';
import { chart } from './report/chart.js';
import { machine } from './report/machine.js';
import { markdown } from './report/markdown.js';
import { table } from './report/table.js';
import { rowsFor } from './rows.js';
import { chooseSides } from './sides.js';

const CHART = fileURLToPath(new URL('../docs/performance/chart.svg', import.meta.url));

const say = (text) => process.stderr.write(text);
const print = (text) => process.stdout.write(text);

async function measure(options, rows) {
  const sides = await chooseSides(options, say);
  const { AMQP_URL, REDIS_URL } = process.env;
  const servers = await startServers({ rabbit: AMQP_URL ? 0 : 1, redis: REDIS_URL ? 0 : 1 });
  const urls = { amqpUrl: AMQP_URL || servers.amqpUrl, redisUrl: REDIS_URL || servers.redisUrls[0] };
  const bench = new Bench({ options, rows, sides, urls, servers, say });
  try {
    await bench.open();
    const results = await bench.play();
    await bench.close();
    return { about: machine(options, bench, sides), rows: results };
  } catch (error) {
    // What follows from it is not what is to be told.
    await bench.close().catch(() => {});
    throw error;
  } finally {
    await servers.stop();
  }
}

function write(file, text) {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  say(`wrote ${file}\n`);
}

function report(options, measured) {
  const json = `${JSON.stringify(measured, null, 2)}\n`;
  if (options.json === '-') print(json);
  else print(options.markdown ? markdown(measured) : table(measured, { colour: process.stdout.isTTY === true }));
  if (options.json !== undefined && options.json !== '-') write(options.json, json);
  const file = options.chart ?? (options.full ? CHART : undefined);
  if (file !== undefined) write(file, chart(measured));
  const below = measured.rows.filter(({ checks }) => checks.some(({ ok }) => ok === false));
  if (below.length > 0) say(`below the bar: ${below.map(({ name }) => name).join('; ')}\n`);
  if (below.length > 0 && options.strict) process.exitCode = 1;
}

async function main() {
  const options = readOptions(process.argv.slice(2));
  const all = rowsFor(options.operations);
  if (options.help) return print(HELP);
  const rows = chosenRows(all, options);
  if (options.rows) return print(`${rows.map(({ name }) => name).join('\n')}\n`);
  report(options, await measure(options, rows));
}

main().catch((error) => {
  say(`${error.message}\n`);
  process.exitCode = 1;
});
