// What is measured, and the bar. A check compares the series `of` (solotask, if not said) with the series `against`, round
// by round, or with a number.
const EVENTS = 5;

const floor = (least) => ({ against: 'floor', least });
const byHand = { against: 'by hand' };
const bullmq = (least) => ({ against: 'BullMQ', least });
const celery = (least) => ({ against: 'Celery', least });

/** How many keys a level of "flat cost" holds, in operations. */
export const LEVELS = [1 / 20, 5, 50];

const count = (number) => Math.max(1, Math.round(number)).toLocaleString('en');
const burst = [bullmq(), { of: 'solotask, coalesce', against: 'BullMQ, keepLastIfActive' }];

const levels = (operations) => LEVELS.map((level) => `${count(level * operations)} keys`);

/**
 * The rows for so many operations. `unit`: of the figures. `less`: the smaller the better. `suite`: what plays it, in
 * suites/. `quick`: in the short form too.
 */
export function rowsFor(operations) {
  const [few, , many] = levels(operations);
  return [
    { name: 'enqueue, plain', suite: 'plain', unit: '/s', quick: true, checks: [floor(0.85), bullmq(), celery()] },
    { name: 'work, plain', suite: 'plain', unit: '/s', quick: true, checks: [floor(0.8), bullmq(), celery()] },
    { name: 'enqueue, unique', suite: 'unique', unit: '/s', quick: true, checks: [floor(0.6), bullmq(1), celery()] },
    { name: 'enqueue, duplicates', suite: 'unique', unit: '/s', quick: true, checks: [floor(), bullmq(1.5)] },
    {
      name: 'work, unique',
      suite: 'unique',
      unit: '/s',
      quick: true,
      checks: [floor(0.5), byHand, bullmq(1.3), celery(4)],
    },
    { name: 'burst, events accepted', suite: 'burst', unit: '/s', checks: burst },
    { name: 'burst, runs', suite: 'burst', unit: 'runs', less: true, checks: burst },
    { name: 'burst, time to quiet', suite: 'burst', unit: 's', less: true, checks: burst },
    { name: 'latency, idle, p50', suite: 'latency', unit: 'ms', less: true, checks: [floor(), bullmq()] },
    {
      name: 'latency, idle, p99',
      suite: 'latency',
      unit: 'ms',
      less: true,
      checks: [floor(), { against: 'BullMQ', most: 1 }],
    },
    { name: 'flat cost, enqueue', suite: 'flat', unit: '/s', checks: [{ of: many, against: few, least: 0.9 }] },
    {
      name: 'flat cost, Redis',
      suite: 'flat',
      unit: 'bytes a key',
      less: true,
      checks: levels(operations).map((of) => ({ of, most: 256 })),
    },
    {
      name: 'work, by worker processes',
      suite: 'processes',
      unit: '/s',
      checks: [{ of: '4 workers', against: '1 worker' }],
    },
    { name: 'memory, peak', suite: 'memory', unit: 'MB', less: true, checks: [] },
    {
      name: 'start, wall time',
      suite: 'start',
      unit: 'ms',
      less: true,
      checks: [{ of: 'task-worker check', over: 'node -e 0', most: 250 }],
    },
    { name: 'start, peak memory', suite: 'start', unit: 'MB', less: true, checks: [] },
  ];
}

/** How large everything is for so many operations in a row. */
export function sizesFor(operations) {
  return {
    operations,
    warm: Math.round(operations / 4),
    celery: Math.max(1, Math.round(operations / 10)),
    events: EVENTS * operations,
    keys: Math.max(1, Math.round(operations / 20)),
    samples: Math.max(1, Math.round(operations / 40)),
    levels: LEVELS.map((level) => Math.max(1, Math.round(level * operations))),
    levelNames: levels(operations),
  };
}
