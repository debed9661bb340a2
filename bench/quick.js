// A quick comparison with the bare drivers: `npm run bench`. See README.md in this directory.
import { parseArgs } from 'node:util';
import { startServers } from '../tools/servers.js';
import { Floor } from './floor.js';
import { median, time } from './measure.js';
import { Ours, QUEUE } from './ours.js';

/** What a row of `enqueue` puts into the queue, the next one of `work` takes. `bar`: the least ratio. */
const ROWS = [
  { name: 'enqueue, plain', step: 'enqueue', method: 'plain', bar: 0.5 },
  { name: 'work, plain', step: 'work', method: 'plain', bar: 0.5 },
  { name: 'enqueue, unique', step: 'enqueue', method: 'unique' },
  { name: 'work, unique', step: 'work', method: 'unique' },
];

const OPTIONS = {
  rounds: { type: 'string', default: '5' },
  operations: { type: 'string', default: '20000' },
  json: { type: 'boolean', default: false },
};

function readOptions() {
  const { rounds, operations, json } = parseArgs({ options: OPTIONS }).values;
  const count = (text) => {
    if (/^[1-9]\d*$/.test(text)) return Number(text);
    throw new Error(`--rounds and --operations take whole numbers above 0, not '${text}'`);
  };
  return { rounds: count(rounds), operations: count(operations), json };
}

const say = (text) => process.stderr.write(text);

/** One pass of `side` over a row; fails unless the queue then holds exactly what it should. */
async function measure(side, { step, method, name }, { first, operations, floor }) {
  const figures = await time(operations, () =>
    step === 'work' ? side.work(first, operations) : side.enqueue(method, first, operations),
  );
  const ready = await floor.ready();
  const expected = step === 'enqueue' ? operations : 0;
  if (ready !== expected) throw new Error(`${name}: ${ready} messages in the queue ${QUEUE}, and not ${expected}`);
  return figures;
}

/** Both ways of both sides, in turns, so that whatever else this machine does hits both. */
async function runRound(samples, sides, { first, operations, floor }) {
  for (const method of ['plain', 'unique']) {
    for (const [name, side] of sides) {
      for (const row of ROWS) {
        if (row.method === method) samples.get(row)[name].push(await measure(side, row, { first, operations, floor }));
      }
      first += operations;
    }
  }
}

async function runRounds(ours, floor, { rounds, operations }) {
  const sides = Object.entries({ ours, floor });
  // Keys that no earlier run has used: Redis remembers those for ten minutes.
  let first = Date.now() * 1000;
  let samples;
  for (let round = 0; round <= rounds; round++) {
    // The first round warms up, and is not counted.
    if (round < 2) samples = new Map(ROWS.map((row) => [row, { ours: [], floor: [] }]));
    await runRound(samples, round % 2 === 0 ? sides : sides.toReversed(), { first, operations, floor });
    first += 4 * operations;
    say(round === 0 ? 'warm ' : `${round} `);
  }
  say('\n');
  return samples;
}

function summary(samples) {
  return [...samples].map(([{ name, bar }, { ours, floor }]) => {
    const middle = (side) => ({ rate: median(side.map(({ rate }) => rate)), cpu: median(side.map(({ cpu }) => cpu)) });
    const ratio = median(ours.map(({ rate }, round) => rate / floor[round].rate));
    return { name, bar, ratio, ours: middle(ours), floor: middle(floor) };
  });
}

function print(results) {
  const line = (...cells) => cells.map((cell, i) => (i === 0 ? cell.padEnd(16) : cell.padStart(12))).join('');
  console.log(line('', 'ours /s', 'floor /s', 'ratio', 'bar', 'ours µs', 'floor µs'));
  for (const { name, bar, ratio, ours, floor } of results) {
    const rates = [ours.rate, floor.rate].map((rate) => Math.round(rate).toLocaleString('en'));
    const cpus = [ours.cpu, floor.cpu].map((cpu) => cpu.toFixed(1));
    console.log(line(name, ...rates, ratio.toFixed(2), bar?.toFixed(2) ?? '–', ...cpus));
  }
}

async function main() {
  const { json, ...settings } = readOptions();
  const { AMQP_URL, REDIS_URL } = process.env;
  const servers = await startServers({ rabbit: AMQP_URL ? 0 : 1, redis: REDIS_URL ? 0 : 1 });
  const urls = { amqpUrl: AMQP_URL || servers.amqpUrl, redisUrl: REDIS_URL || servers.redisUrls[0] };
  const ours = new Ours(urls);
  const floor = new Floor();
  try {
    await ours.open();
    await floor.open(urls);
    await floor.purge();
    const results = summary(await runRounds(ours, floor, settings));
    if (json) console.log(JSON.stringify({ node: process.version, ...settings, rows: results }));
    else print(results);
    const below = results.filter(({ bar, ratio }) => bar !== undefined && ratio < bar);
    for (const { name, bar } of below) say(`${name} is below ${bar} of what the bare drivers do\n`);
    if (below.length > 0) process.exitCode = 1;
  } finally {
    await ours.close();
    await floor.close();
    await servers.stop();
  }
}

main().catch((error) => {
  say(`${error.message}\n`);
  process.exitCode = 1;
});
