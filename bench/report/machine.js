// What the figures were measured on.
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';

/** Of the last minute, before anything was started. */
const LOAD = loadavg()[0];

const bullmq = () => {
  const file = new URL('../node_modules/bullmq/package.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')).version;
};

export function machine({ operations, rounds, bareFloor }, { books }, sides) {
  const peers = {
    ...(sides.bullmq === undefined ? {} : { BullMQ: bullmq() }),
    ...(sides.celery === undefined ? {} : { Celery: sides.celery.settings.version }),
  };
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model ?? 'unknown CPU',
    cores: availableParallelism(),
    versions: { Node: process.versions.node, ...books.versions, ...peers },
    operations,
    rounds,
    load: LOAD,
    floor: bareFloor ? 'body alone' : "solotask's message",
  };
}
