// The command line.
import { parseArgs } from 'node:util';

export const HELP = `npm run bench -- [options]

  --quick            the five main rows with fewer operations, about a minute; draws no chart
  --only TEXT        only rows whose name contains TEXT; may be given more than once; draws no chart
  --rows             list the rows, and end
  --sides LIST       of ours,floor,hand,bullmq,celery (default: all that there are; with --quick no celery)
  --celery           install Celery if it is not there (Debian, as root)
  --rounds N         counted rounds, after one that warms up (default 5; 3 with --quick)
  --operations N     operations in a row (default 20000; 5000 with --quick); all other sizes follow
  --bare-floor       the floor's messages have a body and no headers
  --strict           a ratio below the bar ends with exit code 1 as well
  --json FILE        all figures as JSON; - for stdout, which then has nothing else
  --markdown         the table as Markdown
  --chart FILE       where the chart goes (a full run: docs/performance/chart.svg)
  --profile DIR      CPU profiles of solotask's process
`;

const SIDES = ['ours', 'floor', 'hand', 'bullmq', 'celery'];
const text = { type: 'string' };
const flag = { type: 'boolean', default: false };
const OPTIONS = {
  quick: flag,
  only: { type: 'string', multiple: true, default: [] },
  rows: flag,
  sides: text,
  celery: flag,
  rounds: text,
  operations: text,
  'bare-floor': flag,
  strict: flag,
  json: text,
  markdown: flag,
  chart: text,
  profile: text,
  help: flag,
};

function count(name, given, standard) {
  if (given === undefined) return standard;
  if (/^[1-9]\d{0,6}$/.test(given)) return Number(given);
  throw new Error(`--${name} takes a whole number above 0, not '${given}'`);
}

function sidesOf(given) {
  if (given === undefined) return undefined;
  const names = given.split(',');
  const unknown = names.find((name) => !SIDES.includes(name));
  if (unknown !== undefined) throw new Error(`--sides takes ${SIDES.join(',')}, not '${unknown}'`);
  if (!names.includes('ours')) throw new Error('--sides needs ours: all ratios are to it');
  return names;
}

/** @throws Error with what to correct */
export function readOptions(args) {
  const { values } = parseArgs({ args, options: OPTIONS });
  const { quick, only } = values;
  return {
    ...values,
    bareFloor: values['bare-floor'],
    sides: sidesOf(values.sides),
    rounds: count('rounds', values.rounds, quick ? 3 : 5),
    operations: count('operations', values.operations, quick ? 5_000 : 20_000),
    full: !quick && only.length === 0,
  };
}

/** The rows that these options ask for. @throws Error when there are none */
export function chosenRows(rows, { quick, only }) {
  const chosen = rows
    .filter((row) => !quick || row.quick === true || only.length > 0)
    .filter(({ name }) => only.length === 0 || only.some((part) => name.includes(part)));
  if (chosen.length > 0) return chosen;
  throw new Error(
    `no row has '${only.join("' or '")}' in its name; the rows: ${rows.map(({ name }) => name).join('; ')}`,
  );
}
