import type { Audit } from './audit.js';
import type { DemoOptions } from './options.js';
import type { Tally } from './stream.js';

/** The outcome of a demo, as `--json` prints it. */
export interface Report extends Audit, Pick<DemoOptions, 'recipe' | 'strategy' | 'servers' | 'kill'> {
  readonly events: number;
  /** Messages. */
  readonly published: number;
  /** Events whose message was not published, because a run that is still to start has them. */
  readonly coalesced: number;
  /** Events whose message was not published, because its duplicate waits or runs. */
  readonly discarded: number;
  /** Published, and nobody knows what became of it; or coalesced, and no run has read the event. */
  readonly lost: number;
  /** Workers. */
  readonly killed: number;
  /** From the first event to the end of the last run. */
  readonly seconds: number;
}

/** Puts the two halves of the books together: what the producer saw, and what the database says. */
export const report = (
  { recipe, strategy, servers, kill }: DemoOptions,
  { promised: _, ...tally }: Tally,
  audited: Audit,
  end: Pick<Report, 'lost' | 'killed' | 'seconds'>,
): Report => ({
  recipe,
  strategy,
  servers,
  kill,
  ...tally,
  ...audited,
  ...end,
  droppedWhileRunning: tally.droppedWhileRunning + audited.droppedWhileRunning,
});

/** What must not be: each as one sentence. Without a lock (`--strategy off`) runs of one loan may overlap. */
export function faults(report: Report): string[] {
  const { events, published, coalesced, discarded, lost, overlaps, stale, strategy, kill, killed } = report;
  const found: string[] = [];
  if (events !== published + coalesced + discarded)
    found.push(`${events} events, but ${published} published + ${coalesced} coalesced + ${discarded} discarded`);
  if (lost > 0) found.push(`${lost} events were published or coalesced, and neither run nor dropped nor dead letters`);
  if (overlaps > 0 && strategy !== 'off') found.push(`${overlaps} times two runs of one loan overlapped`);
  if (stale > 0 && strategy === 'coalesce') found.push(`${stale} summaries are stale`);
  if (killed < kill) found.push(`${killed} workers killed of ${kill}: the rest found none in the middle of a run`);
  return found;
}

/** The closing table, with a word on what may surprise in it. */
export function table(report: Report): string {
  const { events, runs, seconds } = report;
  const rows: [string, number | string][] = [
    ['events', events],
    ['messages published', report.published],
    ['duplicates coalesced at enqueue', report.coalesced],
    ['duplicates coalesced by the worker', report.coalescedByWorker],
    ['duplicates discarded at enqueue', report.discarded],
    ['duplicates discarded by the worker', report.discardedByWorker],
    ['  of all these, while running', report.droppedWhileRunning],
    ['workers killed', report.killed],
    ['runs', runs],
    ['  of these, cut short by a kill', report.cut],
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
  return ['', title(report), '', ...lines, '', words[report.strategy], ''].join('\n');
}

const participles = { coalesce: 'coalesced', discard: 'discarded' };

const title = ({ recipe, strategy, servers }: Report): string =>
  [
    strategy === 'off' ? 'No duplicate dropped' : `Duplicates ${participles[strategy]} by the ${recipe} recipe`,
    servers ? 'on RabbitMQ and Redis, by two workers' : 'on the embedded parts, in one process',
  ].join(' ');

const words = {
  coalesce:
    'Coalesce leaves no summary stale: an event that arrives while its loan is being recomputed is followed by one more run.',
  discard:
    'Discard can leave a summary stale: an event that arrives while its loan is being recomputed is dropped, though that run may have read the events before it.',
  off: 'Every event ran, and runs of one loan could overlap: the last to write may have read first, and its summary is stale.',
};

const format = (number: number): string => number.toLocaleString('en');
