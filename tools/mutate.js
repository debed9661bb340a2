// Removes one rule of the lock protocol at a time from a copy of the build, and expects a simulation or a spec to fail:
// `npm run mutate [-- --only TEXT] [--all]`. A rule that nothing misses is a failure, and so is a mutation that no longer
// applies. `--all` tells everything that catches each, `--list` what there is, `--table` writes it into docs/guarantees.md.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Copy, misfits } from './mutations/copy.js';
import { writeTable } from './mutations/document.js';
import { MUTATIONS } from './mutations/index.js';
import { startServers } from './servers.js';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

/** On two cores; each prover is a process of its own. */
const AT_ONCE = 2;

const seconds = (began) => ((performance.now() - began) / 1000).toFixed(1);

function row(name, rule, caught, time) {
  console.log(`${name.padEnd(52)} ${rule.padEnd(22)} ${caught.padEnd(44)} ${String(time).padStart(6)}`);
}

/** Takes from the same list until it is empty. */
async function workOff(list, work) {
  for (let next = list.shift(); next !== undefined; next = list.shift()) await work(next);
}

/** What fails without a rule has to pass with it; else it proves nothing. */
async function checkProvers(provers, copies, env) {
  const failures = [];
  const one = (copy) => async (prover) => {
    const { failed, output } = await prover.run(copy.folder, env);
    if (failed) failures.push(`${prover.name} fails on the build as it is:\n${output}`);
  };
  const left = [...provers];
  await Promise.all(copies.map((copy) => workOff(left, one(copy))));
  return failures;
}

async function catchersOf({ by }, copy, env, all) {
  const catchers = [];
  for (const prover of by) {
    const { failed } = await prover.run(copy.folder, env);
    if (failed) catchers.push(prover);
    if (failed && !all) break;
  }
  return catchers;
}

/** What has caught something, by its name, and the names of the mutations that nothing has. */
async function tryAll(mutations, copies, env, all) {
  const found = { catchers: new Map(), survivors: /** @type {string[]} */ ([]) };
  const one = (copy) => async (mutation) => {
    const began = performance.now();
    copy.mutate(mutation);
    const catchers = await catchersOf(mutation, copy, env, all);
    copy.restore();
    for (const prover of catchers) found.catchers.set(prover.name, prover);
    if (catchers.length === 0) found.survivors.push(mutation.name);
    row(mutation.name, mutation.rule, catchers.map(({ name }) => name).join('; ') || 'NOTHING', seconds(began));
  };
  const left = [...mutations];
  await Promise.all(copies.map((copy) => workOff(left, one(copy))));
  return found;
}

async function prove(mutations, all) {
  const began = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'solotask-mutate-'));
  const servers = await startServers({ rabbit: 1, redis: 1 });
  const env = { SOLOTASK_TEST_REDIS_URL: servers.env.REDIS_URL, SOLOTASK_TEST_AMQP_URL: servers.amqpUrl };
  try {
    const copies = Array.from({ length: AT_ONCE }, (_, i) => new Copy(join(folder, `${i}`)));
    row('without', 'of', 'caught by', 's');
    const { catchers, survivors } = await tryAll(mutations, copies, env, all);
    const failures = await checkProvers(catchers.values(), copies, env);
    for (const failure of failures) console.error(failure);
    console.log(`${mutations.length} mutations in ${seconds(began)} s, ${survivors.length} not caught`);
    for (const name of survivors) console.log(`not caught: ${name}`);
    return survivors.length + failures.length > 0 ? 1 : 0;
  } finally {
    await servers.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function main() {
  const boolean = { type: 'boolean', default: false };
  const { values } = parseArgs({ options: { only: { type: 'string' }, all: boolean, list: boolean, table: boolean } });
  const wanted = ({ name, rule }) => `${name} ${rule}`.includes(values.only ?? '');
  const mutations = MUTATIONS.filter(wanted);
  if (values.table) return writeTable();
  const wrong = misfits(mutations);
  for (const text of wrong) console.error(text);
  if (wrong.length > 0) return 1;
  if (mutations.length === 0) throw new Error('no mutation has the text of --only in its name or rule');
  if (!values.list) return prove(mutations, values.all);
  for (const { name, rule, by } of mutations) row(name, rule, by.map((prover) => prover.name).join('; '), '');
  return 0;
}

process.exitCode = await main();
