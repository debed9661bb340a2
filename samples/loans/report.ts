import type { Audit } from './audit.js';
import type { DemoOptions } from './options.js';
import type { Tally } from './stream.js';

/** The outcome of a demo, as `--json` prints it. */
export interface Report extends Audit, Pick<DemoOptions, 'recipe' | 'strategy' | 'servers'> {
  readonly events: number;
  /** Messages. */
  readonly published: number;
  /** Events whose message was not published, because its duplicate waits or runs. */
  readonly discarded: number;
  readonly discardedWhileRunning: number;
  /** Published, and nobody knows what became of it. */
  readonly lost: number;
  /** From the first event to the end of the last run. */
  readonly seconds: number;
}

/** Puts the two halves of the books together: what the producer saw, and what the database says. */
export const report = (
  { recipe, strategy, servers }: DemoOptions,
  { published, discardedWhileRunning, ...tally }: Tally,
  audited: Audit,
  end: { lost: number; seconds: number },
): Report => ({
  recipe,
  strategy,
  servers,
  ...tally,
  published: published.size,
  ...audited,
  ...end,
  discardedWhileRunning: discardedWhileRunning + audited.discardedByWorkerWhileRunning,
});

/** What must not be: each as one sentence. Without a lock (`--strategy off`) runs of one loan may overlap. */
export function faults({ events, published, discarded, lost, overlaps, strategy }: Report): string[] {
  const found: string[] = [];
  if (events !== published + discarded)
    found.push(`${events} events, but ${published} published + ${discarded} discarded`);
  if (lost > 0) found.push(`${lost} published tasks neither ran nor were discarded nor are dead letters`);
  if (overlaps > 0 && strategy === 'discard') found.push(`${overlaps} times two runs of one loan overlapped`);
  return found;
}

/** The closing table, with a word on what may surprise in it. */
export function table(report: Report): string {
  const { events, runs, seconds } = report;
  const rows: [string, number | string][] = [
    ['events', events],
    ['messages published', report.published],
    ['duplicates discarded at enqueue', report.discarded],
    ['duplicates discarded by the worker', report.discardedByWorker],
    ['  of all these, while running', report.discardedWhileRunning],
    ['runs', runs],
    ['computations saved', `${format(events - runs)} (${Math.round((100 * (events - runs)) / events)} %)`],
    ['overlapping runs of one loan', report.overlaps],
    ['dead letters', report.dead],
    ['lost', report.lost],
    ['stale summaries', `${format(report.stale)} of ${format(report.loans)}`],
    ['events/s', Math.round(events / seconds)],
    ['seconds', seconds],
  ];
  const lines = rows.map(([name, value]) => {
    const text = typeof value === 'number' ? format(value) : value;
    return `  ${name.padEnd(36)}${text.padStart(16)}`;
  });
  return ['', title(report), '', ...lines, '', word(report), ''].join('\n');
}

const title = ({ recipe, strategy, servers }: Report): string =>
  [
    strategy === 'off' ? 'No duplicate discarded' : `Duplicates discarded by the ${recipe} recipe`,
    servers ? 'on RabbitMQ and Redis, by two workers' : 'on the embedded parts, in one process',
  ].join(' ');

const word = ({ strategy }: Report): string =>
  strategy === 'off'
    ? 'Every event ran, and runs of one loan could overlap: the last to write may have read first, and its summary is stale.'
    : 'Discard can leave a summary stale: an event that arrives while its loan is being recomputed is dropped, though that run may have read the events before it.';

const format = (number: number): string => number.toLocaleString('en');
