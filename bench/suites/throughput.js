// Enqueue and work: what a pass puts into the queue, the next one takes. All sides take turns in every round.
import { QUEUE } from '../books.js';
import { serversWatch } from '../servers-cpu.js';

const STEPS = {
  plain: [
    { row: 'enqueue, plain', step: 'enqueue', ready: 1 },
    { row: 'work, plain', step: 'work', ready: 0 },
  ],
  unique: [
    { row: 'enqueue, unique', step: 'enqueue', ready: 1 },
    { row: 'enqueue, duplicates', step: 'duplicates', ready: 1 },
    { row: 'work, unique', step: 'work', ready: 0 },
  ],
};

/** The messages of the bare drivers' sides are copies of solotask's: each gets one to look at. */
export async function teach({ sides, numbers }, method) {
  for (const side of [sides.floor, sides.hand].filter((each) => each !== undefined)) {
    const number = numbers.take(1);
    await sides.ours.child.call('enqueue', { method, first: number, operations: 1 });
    await side.child.call('learn', { method, number });
  }
}

/** Puts so many plain tasks of solotask's into the queue, by whoever is fastest. */
export async function fill({ sides, books, numbers }, operations) {
  const first = numbers.take(operations);
  await (sides.floor ?? sides.ours).child.call('enqueue', { method: 'plain', first, operations });
  await books.expect(QUEUE, operations, 'tasks that wait');
  return { first, operations };
}

/** One pass of a side; fails unless the queue then holds exactly what it should. */
async function pass({ books, servers }, side, { row, step, ready }, args) {
  const read = serversWatch(servers);
  const process = step === 'work' ? side.worker : side.child;
  const figures = { ...(await process.call(step, args)), servers: read(args.operations) };
  const expected = ready * args.operations;
  if (side.queue !== undefined) await books.expect(side.queue, expected, row);
  else {
    const found = await side.child.call('ready');
    if (found !== expected) throw new Error(`${row}: ${side.label} has ${found} jobs, and not ${expected}`);
  }
  return figures;
}

async function play(bench, method, side, record) {
  const { warm, operations: timed, celery } = bench.sizes;
  const operations = side.slow ? celery : warm + timed;
  const args = { method, first: bench.numbers.take(operations), operations, ...(side.slow ? {} : { warm }) };
  for (const step of STEPS[method]) {
    if (step.step === 'duplicates' && (side.slow || side.only !== undefined)) continue;
    const figures = await pass(bench, side, step, args);
    if (side.only === undefined || side.only === step.row) record(step.row, side.label, figures);
  }
}

const takesPart = ({ only }, method) => only === undefined || STEPS[method].some(({ row }) => row === only);

const suite = (method) => async (bench) => {
  const sides = Object.values(bench.sides).filter((side) => takesPart(side, method));
  await bench.books.purge(QUEUE);
  await teach(bench, method);
  await bench.rounds(`enqueue and work, ${method}`, async ({ turns, record }) => {
    for (const side of turns(sides)) await play(bench, method, side, record);
  });
};

export const plain = suite('plain');
export const unique = suite('unique');
